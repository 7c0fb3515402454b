/* A chart with everything that belongs to it: legend, readout by pointer and by keyboard, notes on
 * what cannot be drawn, the table twin, and saving as SVG and PNG. Used for depth and for loss. */

import { h, clear, button, icon, scrollBox, announce, focusIn } from './dom.js';
import { plot } from './plot.js';
import { swatch } from './swatch.js';
import { readout } from './readout.js';
import { twin } from './twin.js';
import { saveSvg, savePng } from './export.js';

const MANY = 24;

/* Of very many lines so many that have something to draw, evenly over each colour. */
function some(lines) {
  const drawn = lines.filter((l) => l.points.length);
  if (drawn.length <= MANY) return drawn;
  const groups = d3.groups(drawn, (l) => l.colour);
  const each = Math.max(1, Math.floor(MANY / groups.length));
  const chosen = new Set(groups.flatMap(([, list]) => d3.range(Math.min(each, list.length)).map((k) => list[Math.floor(k * Math.max(1, list.length / each))])));
  return drawn.filter((l) => chosen.has(l));
}

/* Lines that are drawn: all but those switched off; when the address says nothing and there are very
 * many, some of them, and the legend says so. */
export function visible(lines, hidden) {
  if (hidden) return lines.filter((l) => !hidden.has(l.key));
  return lines.length <= MANY ? lines : some(lines);
}

function legend(lines, shown, onHidden) {
  const on = new Set(shown.map((l) => l.key));
  const setOn = (keys) => onHidden(new Set(lines.filter((l) => !keys.has(l.key)).map((l) => l.key)));
  const toggle = (line, event) => {
    if (event.shiftKey || event.altKey) return setOn(new Set([line.key]));
    const next = new Set(on);
    if (!next.delete(line.key)) next.add(line.key);
    return setOn(next);
  };
  const items = lines.map((line) => button([swatch(line), h('span', { text: line.label })],
    (event) => toggle(line, event),
    { class: 'legend-item', 'aria-pressed': String(on.has(line.key)), 'data-key': line.key }));
  const tools = lines.length > 2 ? h('span', { class: 'legend-tools' },
    button('all', () => setOn(new Set(lines.map((l) => l.key))), { class: 'quiet small', 'aria-label': 'Show all arms' }),
    button('none', () => setOn(new Set()), { class: 'quiet small', 'aria-label': 'Hide all arms' })) : null;
  const note = lines.length > MANY && shown.length < lines.length
    ? h('p', { class: 'hint', text: `${shown.length} of ${lines.length} arms shown; choose here.` }) : null;
  return [note, h('div', { class: 'legend', role: 'group', 'aria-label': 'Arms. Shift and click shows one alone.' },
    items, tools)];
}

/* onState({hidden: Set, table: boolean}) is told what the reader chose; show() draws what it is given. */
export function figure({ name, height = 0.5, onState, compact = false }) {
  const noteBox = h('div', { class: 'figure-notes' });
  const legendBox = h('div', { class: 'legend-box' });
  const plotBox = h('div', { class: 'plot-box' });
  const cursorBox = h('div', { class: 'cursor-box' });
  const stage = h('div', { class: 'stage' }, plotBox, cursorBox);
  const tableBox = h('div', { class: 'twin', id: `${name}-table` });
  const tools = h('div', { class: 'figure-tools' });
  const root = h('div', { class: 'figure' }, stage, legendBox, noteBox, tools, tableBox);
  let current = null;
  let width = 0;
  let cursor = -1;

  const draw = () => {
    if (!current || !width) return;
    const { spec, state } = current;
    const shown = visible(spec.lines, state.hidden);
    const labels = width >= 560 && shown.length <= 14 && shown.length > 1;
    const tall = Math.round(Math.min(460, Math.max(compact ? 240 : 280, width * height)));
    const geometry = plot(plotBox, { ...spec, lines: shown, labels }, width, tall);
    const at = cursorBox.contains(document.activeElement) ? cursor : -1;
    readout(cursorBox, geometry, spec, shown, at, (i) => { cursor = i; });
  };

  const redrawLegend = ({ spec, state }) => {
    const focused = focusIn(document.body)?.closest('.legend-item')?.getAttribute('data-key');
    const had = legendBox.contains(document.activeElement);
    clear(legendBox).append(...legend(spec.lines, visible(spec.lines, state.hidden), (hidden) => {
      onState({ hidden });
      announce(`${spec.lines.length - hidden.size} of ${spec.lines.length} arms shown`);
    }).filter(Boolean));
    if (had && focused) {
      [...legendBox.querySelectorAll('.legend-item')].find((b) => b.dataset.key === focused)?.focus();
    }
  };

  const toolButtons = () => {
    const tableButton = button([icon('table'), 'Table'], () => onState({ table: !current.state.table }),
      { class: 'quiet', 'aria-expanded': 'false', 'aria-controls': `${name}-table` });
    const save = (f) => () => f(plotBox.firstChild, current.spec, visible(current.spec.lines, current.state.hidden));
    tools.append(tableButton, button([icon('download'), 'SVG'], save(saveSvg), { class: 'quiet', 'aria-label': 'Save the chart as SVG' }),
      button([icon('download'), 'PNG'], save(savePng), { class: 'quiet', 'aria-label': 'Save the chart as PNG' }));
    return tableButton;
  };
  const tableButton = compact ? null : toolButtons();

  new ResizeObserver(([entry]) => {
    const next = Math.floor(entry.contentRect.width);
    if (next === width) return;
    width = next;
    draw();
  }).observe(stage);

  return {
    root,
    redraw: draw,
    show(spec, state) {
      current = { spec, state };
      stage.hidden = !spec.lines.some((l) => l.points.length);
      draw();
      redrawLegend(current);
      clear(noteBox).append(...(spec.notes || []).map((text) => h('p', { class: 'hint', text })));
      tableButton?.setAttribute('aria-expanded', String(Boolean(state.table)));
      clear(tableBox);
      if (state.table) {
        tableBox.append(scrollBox(twin(spec, visible(spec.lines, state.hidden)), `${spec.title}, as a table`));
      }
    },
  };
}
