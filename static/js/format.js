/* Numbers, sizes and times as people read them. */

const SUPER = { '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };
const MINUS = '\u2212';

export function superscript(n) {
  return [...String(n)].map((c) => SUPER[c] ?? c).join('');
}

/* The API writes non-finite numbers as strings and undefined ones as null. */
export function decode(v) {
  if (typeof v === 'number') return v;
  if (v === 'NaN') return NaN;
  if (v === 'Infinity') return Infinity;
  if (v === '-Infinity') return -Infinity;
  return null;
}

/* 4 significant digits; powers of ten outside 0.001 .. 99999. */
export function number(v, digits = 4) {
  if (v === null || v === undefined) return '–';
  if (Number.isNaN(v)) return 'NaN';
  if (!Number.isFinite(v)) return v > 0 ? '∞' : `${MINUS}∞`;
  if (v === 0) return '0';
  const size = Math.abs(v);
  if (size >= 1e-3 && size < 1e5) {
    const text = Number.isInteger(v) ? String(size) : trim(size.toPrecision(digits));
    return (v < 0 ? MINUS : '') + text;
  }
  const [mantissa, exponent] = size.toExponential(digits - 1).split('e');
  return `${v < 0 ? MINUS : ''}${trim(mantissa)}×10${superscript(Number(exponent))}`;
}

function trim(text) {
  if (text.includes('e')) return String(Number(text));
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/* Fixed digits, for columns of a table: 1.200, not 1.2. */
export function cell(v, digits = 4) {
  if (v === null || v === undefined || !Number.isFinite(v) || v === 0) return number(v);
  const size = Math.abs(v);
  if (size >= 1e-3 && size < 1e5) {
    return (v < 0 ? MINUS : '') + (Number.isInteger(v) ? String(size) : size.toPrecision(digits));
  }
  const [mantissa, exponent] = size.toExponential(digits - 1).split('e');
  return `${v < 0 ? MINUS : ''}${mantissa}×10${superscript(Number(exponent))}`;
}

/** @type {[number, string][]} */
const SI = [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

export function si(v, unit = '') {
  if (v === null || v === undefined || !Number.isFinite(v)) return number(v);
  for (const [size, letter] of SI) {
    if (Math.abs(v) >= size) return `${trim((v / size).toPrecision(3))} ${letter}${unit}`;
  }
  return `${trim(Number(v).toPrecision(3))}${unit ? ` ${unit}` : ''}`;
}

export function bytes(v) {
  if (v === null || v === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let i = 0;
  for (; v >= 1024 && i < units.length - 1; i++) v /= 1024;
  return `${i ? trim(v.toPrecision(3)) : v} ${units[i]}`;
}

export function count(n, one, many) {
  return `${Number(n).toLocaleString('en')} ${n === 1 ? one : many || `${one}s`}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–';
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function ago(iso, now = Date.now()) {
  const s = (now - Date.parse(iso)) / 1000;
  if (!Number.isFinite(s)) return '–';
  if (s < 10) return 'just now';
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export function clock(iso) {
  const d = new Date(iso);
  return Number.isNaN(d.getTime()) ? '–'
    : d.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

export function between(from, to) {
  const s = (Date.parse(to) - Date.parse(from)) / 1000;
  return Number.isFinite(s) ? s : null;
}

/* Values of an arm that are what one calls it by: they stand first and for themselves. */
const NAMES = ['strategy', 'strategy.name', 'strategy.placement', 'model', 'model.preset'];
export const isName = (path) => NAMES.includes(path);
export const namesFirst = (list, path) => [...list.filter((e) => isName(path(e))), ...list.filter((e) => !isName(path(e)))];

function valueText(value) {
  if (value !== null && typeof value === 'object') {
    return Object.entries(value).map(([k, v]) => (k === 'name' ? '' : `${k} `) + valueText(v)).join(' ');
  }
  return typeof value === 'number' ? number(value) : String(value);
}

const withField = (path, value) => `${path.split('.').pop()} ${valueText(value)}`;

/* One swept value beside a line: alone, but "rounding none" and "bias true". */
export function armValue(path, value) {
  const says = typeof value !== 'boolean' && value !== null && value !== 'none';
  return says || isName(path) ? valueText(value) : withField(path, value);
}

/* "pre_ln · depth 12 · init gpt2" */
export function armLabel(arm) {
  return namesFirst(Object.entries(arm || {}), ([path]) => path)
    .map(([path, value]) => (isName(path) ? valueText(value) : withField(path, value))).join(' · ');
}

const DIRECTIONS = {
  higher: 'higher is better', lower: 'lower is better', near_1: 'best near 1', near_0: 'best near 0',
};

export function direction(d) {
  return DIRECTIONS[d] || '';
}

const REASONS = { NAN: 'NaN', POS_INF: '+Infinity', NEG_INF: '−Infinity', ZERO: 'undefined: the tensor is zero',
  ONE_TOKEN: 'undefined: it needs two tokens', NO_ENTRIES: 'undefined: no finite entry', ABSENT: 'did not happen',
  TOO_FEW: 'undefined: too few layers' };

export function reasonText(reason) {
  return REASONS[reason] || (reason ? String(reason).toLowerCase() : 'undefined');
}

/* Why a point lacks values: "2 NaN, 1 +Infinity", or the number alone while the reasons are not known. */
export function lack(point) {
  const known = Object.entries(point.reasons || {}).map(([r, n]) => (n > 1 ? `${n} ` : '') + reasonText(r));
  if (known.length) return known.join(', ');
  return point.bad ? `${point.bad} not finite` : '–';
}
