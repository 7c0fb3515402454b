/* What the job would cost, asked of the server a moment after the last change. Nothing is stored. */

import { h, clear, announce } from './dom.js';
import { post, Problem } from './api.js';
import { bytes, si } from './format.js';

/* What measuring adds to a pass, dearest first: "spectrum 15 %, sharpness 40 passes". */
function measuring(groups) {
  const one = ({ group, factor }) => `${group} ${factor < 1 ? `${Math.round(100 * factor)} %` : `${Number(factor.toPrecision(2))} passes`}`;
  return groups.filter((g) => g.factor >= 0.005).sort((a, b) => b.factor - a.factor).map(one).join(', ') || 'next to nothing';
}

/* onProblem(problem or null), onEstimate(reply, job) */
export function estimateView(onProblem, onEstimate) {
  const box = h('dl', { class: 'estimate', 'aria-label': 'Cost' });
  let timer = 0;
  let turn = 0;
  const put = (rows) => clear(box).append(...rows.map(([k, v, title, wide]) => h('div', { class: wide ? 'wide' : null }, h('dt', { text: k }), h('dd', { text: v, title }))));
  const ask = async (job, aloud) => {
    const mine = ++turn;
    try {
      const e = await post('estimate', job);
      if (mine !== turn) return;
      onProblem(null);
      onEstimate?.(e, job);
      put([['runs', Number(e.runs).toLocaleString('en')], ['parameters, largest run', si(e.parameters)],
        ['floating-point operations', si(e.flops), String(e.flops)], ['memory, largest run', bytes(e.peak_bytes), `${e.peak_bytes} bytes`],
        ['measurements, at most', si(e.measurements)],
        ['measuring, beside forward and backward', measuring(e.metrics), 'predicted time of each group of metrics, as a share or multiple of the passes that are measured', true]]);
      if (aloud) announce(`${e.runs} runs, ${si(e.flops)} floating-point operations, ${bytes(e.peak_bytes)} of memory`);
    } catch (e) {
      if (mine !== turn) return;
      clear(box);
      onProblem(e instanceof Problem ? e : new Problem({ detail: String(e) }));
    }
  };
  return {
    root: box,
    later(job) {
      clearTimeout(timer);
      timer = setTimeout(() => ask(job, false), 450);
    },
    now(job) {
      clearTimeout(timer);
      ask(job, true);
    },
    stop: () => clearTimeout(timer),
  };
}
