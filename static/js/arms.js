/* How an arm looks. The first thing that varies (strategy, when it does) gets colour and marker, the
 * rest gets the dash pattern; with a single axis all three change together. So no arm is told apart
 * by colour alone, and arms of one strategy look related. */

import { armLabel, armValue, namesFirst } from './format.js';

export const COLOURS = 8;
export const DASHES = ['', '7 3', '2 3', '10 3 2 3', '14 4', '1 2.5', '6 2 2 2 2 2', '3 6'];
export const MARKERS = ['circle', 'square', 'triangle', 'diamond', 'down', 'cross', 'star', 'wye'];

export const keyOf = (arm) => JSON.stringify(arm, Object.keys(arm || {}).sort());

/* An arm in words; a job without a sweep has one arm, named by what it is. */
export function labelOf(run) {
  return Object.keys(run.arm || {}).length ? armLabel(run.arm) : `${run.placement} · depth ${run.depth}`;
}

/* The arms of a list of runs, in their order: [{arm, key, label}]; those that a search did not need left out. */
export function armsOf(runs) {
  return [...new Map(runs.filter((r) => r.state !== 'skipped').map((r) => [keyOf(r.arm), { arm: r.arm, key: keyOf(r.arm), label: labelOf(r) }])).values()];
}

function axes(arms) {
  const seen = new Map();
  for (const arm of arms) {
    for (const [path, value] of Object.entries(arm)) {
      if (!seen.has(path)) seen.set(path, new Map());
      seen.get(path).set(JSON.stringify(value), value);
    }
  }
  return namesFirst([...seen], ([path]) => path).filter(([, values]) => values.size > 1)
    .map(([path, values]) => ({ path, values: [...values.keys()] }));
}

function firstNamed(list) {
  return list.find((a) => a.values.every((v) => v.startsWith('"') || v.startsWith('{'))) || list[0];
}

/* arms: objects of swept values, in the order of the job. Returns one style per arm. */
export function styles(arms, labels) {
  const list = axes(arms);
  const main = firstNamed(list);
  const rest = list.filter((a) => a !== main);
  const combos = [];
  return arms.map((arm, i) => {
    const colour = main ? main.values.indexOf(JSON.stringify(arm[main.path])) : i;
    const combo = JSON.stringify(rest.map((a) => arm[a.path]));
    if (!combos.includes(combo)) combos.push(combo);
    const second = rest.length ? combos.indexOf(combo) : colour;
    const wrapped = Math.floor(colour / COLOURS);
    return {
      key: keyOf(arm),
      label: labels?.[i] || armLabel(arm),
      short: list.map((a) => armValue(a.path, arm[a.path])).join(' ') || labels?.[i] || armLabel(arm),
      colour: colour % COLOURS,
      dash: DASHES[(second + wrapped) % DASHES.length],
      marker: MARKERS[(colour + wrapped) % MARKERS.length],
    };
  });
}
