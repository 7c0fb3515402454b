/* Comparing arms: every line relative to one of them, layer by layer. A ratio where the metric lives
 * on a log scale, a difference where it does not. */

export function relate(lines, ref, ratio) {
  const base = lines.find((_, i) => String(i) === ref);
  if (!base) return { lines, text: '', notes: [], active: false };
  const at = new Map(base.points.map((p) => [p.x, p.y]));
  const op = (v, b) => (typeof v !== 'number' ? null : ratio ? v / b : v - b);
  let lost = 0;
  const related = lines.map((line) => ({ ...line, points: line.points.flatMap((p) => {
    const b = at.get(p.x);
    if (typeof b !== 'number' || (ratio && !(b > 0))) {
      lost += 1;
      return [];
    }
    return [{ ...p, y: op(p.y, b), lo: op(p.lo, b), hi: op(p.hi, b), predicted: op(p.predicted, b) }];
  }) }));
  const notes = lost ? [`${lost} ${lost === 1 ? 'point has' : 'points have'} no counterpart in ${base.label} and ${lost === 1 ? 'is' : 'are'} left out.`] : [];
  return { lines: related, text: ratio ? `, ratio to ${base.label}` : `, minus ${base.label}`, notes, active: true };
}
