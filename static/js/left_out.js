/* What a drawing has to leave out, in words: one sentence per kind. */

import { number, reasonText } from './format.js';

function tally(lines) {
  const kinds = new Map();
  const where = [];
  let total = 0;
  for (const line of lines) {
    const at = line.points.filter((p) => p.bad);
    if (!at.length) continue;
    where.push(`${line.label} from ${at[0].name ?? number(at[0].x)}`);
    for (const p of at) {
      total += p.bad;
      for (const [r, n] of Object.entries(p.reasons || {})) kinds.set(r, (kinds.get(r) || 0) + n);
    }
  }
  return { kinds: [...kinds].map(([r, n]) => `${n} ${reasonText(r)}`).join(', '), where, total };
}

export function leftOut(lines, log) {
  const notes = [];
  const { kinds, where, total } = tally(lines);
  if (total) {
    const list = where.slice(0, 4).join('; ') + (where.length > 4 ? `; and ${where.length - 4} more arms` : '');
    notes.push(`${total} ${total === 1 ? 'value' : 'values'} not shown (${kinds || 'not finite'}), marked × at the top edge: ${list}.`);
  }
  let zero = 0;
  if (log) for (const line of lines) zero += line.points.filter((p) => typeof p.y === 'number' && p.y <= 0).length;
  if (zero) {
    const one = zero === 1;
    notes.push(`${zero} ${one ? 'point is' : 'points are'} zero or negative and not shown on the log axis; the linear axis and the table have ${one ? 'it' : 'them'}.`);
  }
  return notes;
}
