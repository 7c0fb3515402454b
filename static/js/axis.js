/* Scales and ticks: crisp, few, and at round numbers, on linear and on log axes. */

import { number, superscript } from './format.js';

const MINUS = '\u2212';

function logDomain(values) {
  let lo = Math.min(...values);
  let hi = Math.max(...values);
  if (!(lo > 0)) return [0.1, 10];
  const least = Math.log10(1.25);
  const span = Math.log10(hi / lo);
  const pad = span < least ? (least - span) / 2 : span * 0.05;
  lo = 10 ** (Math.log10(lo) - pad);
  hi = 10 ** (Math.log10(hi) + pad);
  return [Math.max(lo, 1e-320), Math.min(hi, 1e308)];
}

function linearDomain(values) {
  let lo = Math.min(...values);
  let hi = Math.max(...values);
  if (hi - lo <= 1e-9 * Math.max(Math.abs(lo), Math.abs(hi))) {
    const pad = Math.abs(lo) * 0.1 || 1;
    if (lo === 0) return [0, 1];
    lo -= pad;
    hi += pad;
  }
  if (lo > 0 && lo < 0.25 * hi) lo = 0;
  if (hi < 0 && hi > 0.25 * lo) hi = 0;
  return [lo, hi];
}

/* values: all finite numbers to be shown, positive when log. */
export function yScale(values, log, range) {
  if (!values.length) values = log ? [0.1, 10] : [0, 1];
  return log ? d3.scaleLog(logDomain(values), range)
    : d3.scaleLinear(linearDomain(values), range).nice(6);
}

function decades(lo, hi, room) {
  const first = Math.ceil(Math.log10(lo) - 1e-9);
  const last = Math.floor(Math.log10(hi) + 1e-9);
  const step = Math.max(1, Math.ceil((last - first + 1) / room));
  const major = [];
  const minor = [];
  for (let e = Math.ceil(first / step) * step; e <= last; e += step) major.push(10 ** e);
  if (step === 1) {
    for (let e = first - 1; e <= last; e++) {
      for (let m = 2; m <= 9; m++) {
        const v = m * 10 ** e;
        if (v >= lo && v <= hi) minor.push(v);
      }
    }
  }
  return { major, minor };
}

function powerText(v) {
  const e = Math.round(Math.log10(v));
  return e === 0 ? '1' : e === 1 ? '10' : `10${superscript(e)}`;
}

/* {major: [{value, text}], minor: [value]} */
export function ticks(scale, log, room) {
  const [lo, hi] = scale.domain();
  if (!log) {
    const major = scale.ticks(room);
    const step = major.length > 1 ? Math.abs(major[1] - major[0]) : 1;
    return { major: major.map((value) => ({ value, text: linearText(value, step) })), minor: [] };
  }
  const span = Math.log10(hi / lo);
  if (span >= 2.2) {
    const { major, minor } = decades(lo, hi, room);
    return { major: major.map((value) => ({ value, text: powerText(value) })), minor };
  }
  let values;
  if (span > 0.7) {
    const steps = span > 1.4 ? [1, 3] : [1, 2, 5];
    values = [];
    for (let e = Math.floor(Math.log10(lo)); e <= Math.log10(hi); e++) {
      for (const m of steps) values.push(Number(`${m}e${e}`));
    }
    values = values.filter((v) => v >= lo && v <= hi);
  } else {
    values = d3.ticks(lo, hi, room);
  }
  const minor = span > 0.7 ? decades(lo, hi, 99).minor.filter((v) => !values.includes(v)) : [];
  return { major: values.map((value) => ({ value, text: number(value, 4) })), minor };
}

function linearText(v, step) {
  if (v === 0) return '0';
  const size = Math.abs(v);
  const last = Math.floor(Math.log10(step) + 1e-9);
  if (size >= 1e5 || size < 1e-3) return number(v, Math.min(12, Math.max(1, Math.floor(Math.log10(size)) - last + 1)));
  return (v < 0 ? MINUS : '') + size.toFixed(Math.min(12, Math.max(0, -last)));
}

/* Integer positions (layers, steps) that fit without touching; or fractions 0 to 1. */
export function xTicks(scale, integer, room) {
  let values = scale.ticks(room);
  if (integer) {
    values = values.filter(Number.isInteger);
    const [lo, hi] = scale.domain();
    if (values.length < 2) {
      values = [...new Set([Math.ceil(lo), Math.floor(hi)])].filter((v) => v >= lo && v <= hi);
    }
  }
  return values.map((value) => ({ value, text: number(value, 3) }));
}

/* On a log axis: the positions of the data themselves, those left out that would touch. */
export function placeTicks(scale, room) {
  const [lo, hi] = scale.range();
  const least = (hi - lo) / room;
  let last = -Infinity;
  return scale.places.filter((v) => {
    if (scale(v) - last < least) return false;
    last = scale(v);
    return true;
  }).map((value) => ({ value, text: number(value, 4) }));
}
