import { DEFAULT_PRICE, GB, HOUR_MS, type Price } from './model.ts';
import type { Run } from './world/model.ts';

/** Colours for light and dark, by the order of the policies; the first one is drawn thick. */
const COLOURS = [
  ['#1d5fd1', '#6ea8ff'],
  ['#c2410c', '#fb9a5c'],
  ['#0f7b5f', '#4fd1a5'],
  ['#8b3fb5', '#d093f0'],
  ['#6b7280', '#9ca3af'],
  ['#a16207', '#e2c044'],
] as const;

const WIDTH = 1080;
const LEFT = 52;
const RIGHT = 12;
const GAP = 34;
const PANEL = 112;
const TOP = 92;
const TITLE = 22;

interface Line {
  policy: number;
  values: number[];
}

interface Panel {
  x: number;
  y: number;
  width: number;
  height: number;
  title: string;
  lines: Line[];
  scale: 'linear' | 'log';
  hours: number;
  stepHours: number;
}

/**
 * One picture of runs over the same workload: for each tier the queue (logarithmic) and the workers that hold CPU, and below them the money spent so
 * far. A self-contained SVG that follows the viewer's light or dark scheme.
 */
export function plotSvg(runs: Run[], price: Price = DEFAULT_PRICE): string {
  const first = runs[0];
  if (!first) throw new Error('nothing to plot');
  const { scenario, workload } = first;
  const hours = workload.durationMs / HOUR_MS;
  const stepHours = first.series.stepMs / HOUR_MS;
  const columns = scenario.tiers.length;
  const width = (WIDTH - RIGHT - columns * LEFT - (columns - 1) * (GAP - 20)) / columns;
  const panels: Panel[] = [];
  const place = (column: number, row: number): { x: number; y: number } => ({
    x: LEFT + column * (width + LEFT + GAP - 20),
    y: TOP + row * (PANEL + GAP + TITLE),
  });
  scenario.tiers.forEach((tier, index) => {
    const common = { width, height: PANEL, hours, stepHours };
    panels.push({
      ...common,
      ...place(index, 0),
      title: `${tier.service}: jobs waiting`,
      scale: 'log',
      lines: lines(runs, ({ series }) => series.tiers[index]?.waiting ?? []),
    });
    panels.push({
      ...common,
      ...place(index, 1),
      title: `${tier.service}: workers`,
      scale: 'linear',
      lines: lines(runs, ({ series }) => series.tiers[index]?.workers ?? []),
    });
  });
  const bottom = place(0, 2).y;
  panels.push({
    x: LEFT,
    y: bottom,
    width: WIDTH - LEFT - RIGHT - 118,
    height: PANEL + 40,
    title: `cost so far, at ${price.cpuHour} per CPU-h and ${price.gbHour} per GB-h`,
    scale: 'linear',
    lines: lines(runs, (run) => costs(run, price)),
    hours,
    stepHours,
  });
  const height = bottom + PANEL + 40 + 30;
  const title = `${workload.name}: ${workload.jobs.count.toLocaleString('en')} jobs in ${number(hours)} h on ${scenario.budget.cpus} CPUs and ${number(scenario.budget.memoryBytes / GB)} GB`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${xml(title)}" font-family="system-ui, sans-serif" font-size="11">`,
    style(runs.length),
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    `<text class="ink" x="${LEFT}" y="30" font-size="16" font-weight="600">${xml(title)}</text>`,
    legend(runs),
    ...panels.map(drawPanel),
    endLabels(panels[panels.length - 1] as Panel, runs),
    '</svg>\n',
  ].join('\n');
}

/** The picture in a page of its own. */
export function plotHtml(runs: Run[], price: Price = DEFAULT_PRICE): string {
  const name = xml(runs[0]?.workload.name ?? '');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Simulation of ${name}</title>
<style>body { margin: 0; background: #fff } svg { display: block; margin: 1rem auto; max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { body { background: #14171c } }</style>
${plotSvg(runs, price)}</html>
`;
}

const lines = (runs: Run[], values: (run: Run) => number[]): Line[] => runs.map((run, policy) => ({ policy, values: values(run) }));

/** Money spent until the end of each step. */
function costs({ scenario, series }: Run, price: Price): number[] {
  const hours = series.stepMs / HOUR_MS;
  const spent: number[] = [];
  let total = 0;
  for (let step = 0; step < (series.tiers[0]?.workers.length ?? 0); step += 1) {
    scenario.tiers.forEach(({ need }, index) => {
      const tier = series.tiers[index];
      const workers = tier?.workers[step] ?? 0;
      const inMemory = workers + (tier?.frozen[step] ?? 0);
      total += hours * (workers * need.cpus * price.cpuHour + inMemory * (need.memoryBytes / GB) * price.gbHour);
    });
    spent.push(total);
  }
  return spent;
}

function style(policies: number): string {
  const colours = (dark: 0 | 1): string =>
    Array.from({ length: policies }, (_, index) => `.p${index} { --c: ${COLOURS[index % COLOURS.length]?.[dark]} }`).join(' ');
  return `<style>
.paper { fill: #fff } .ink { fill: #1c2430 } .soft { fill: #5a6675 } .grid { stroke: #e3e7ec } .axis { stroke: #aab3bf }
.line { fill: none; stroke: var(--c); stroke-linejoin: round } .name { fill: var(--c) } ${colours(0)}
@media (prefers-color-scheme: dark) { .paper { fill: #14171c } .ink { fill: #e8ecf1 } .soft { fill: #98a3b0 } .grid { stroke: #272d36 } .axis { stroke: #4a5460 } ${colours(1)} }
</style>`;
}

function legend(runs: Run[]): string {
  let x = LEFT;
  return runs
    .map(({ policy }, index) => {
      const at = x;
      x += 44 + policy.length * 7;
      return `<g class="p${index}"><path class="line" stroke-width="${thickness(index)}" d="M${at} 54h20"/><text class="ink" x="${at + 26}" y="58" font-size="12">${xml(policy)}</text></g>`;
    })
    .join('');
}

const thickness = (policy: number): number => (policy === 0 ? 1.8 : 1.1);

function drawPanel(panel: Panel): string {
  const { x, y, width, height, title, scale, hours } = panel;
  const highest = highestOf(panel);
  const yOf = yScale(panel, highest);
  const parts = [`<text class="ink" x="${x}" y="${y - 8}" font-size="12" font-weight="600">${xml(title)}</text>`];
  for (const tick of scale === 'log' ? logTicks(highest) : linearTicks(highest)) {
    const at = yOf(tick).toFixed(1);
    parts.push(`<path class="grid" d="M${x} ${at}h${round(width)}"/>`);
    parts.push(
      `<text class="soft" x="${x - 6}" y="${at}" text-anchor="end" dominant-baseline="middle">${tick >= 1000 && scale === 'log' ? `${tick / 1000}k` : number(tick)}</text>`,
    );
  }
  for (const tick of timeTicks(hours, width)) {
    const at = round(x + (tick / hours) * width);
    parts.push(`<text class="soft" x="${at}" y="${y + height + 15}" text-anchor="middle">${timeText(tick, hours)}</text>`);
  }
  parts.push(`<path class="axis" d="M${x} ${y + height}h${round(width)}"/>`);
  // The first policy lies on top of the others.
  for (const line of [...panel.lines].reverse()) parts.push(drawLine(panel, line, yOf));
  return parts.join('\n');
}

function drawLine({ x, width, hours, stepHours }: Panel, { policy, values }: Line, yOf: (value: number) => number): string {
  const shown = Math.min(values.length, Math.round(hours / stepHours));
  const perStep = width / (hours / stepHours);
  let path = '';
  let lastY = Number.NaN;
  for (let step = 0; step < shown; step += 1) {
    const y = round(yOf(values[step] as number));
    if (y === lastY && step < shown - 1) continue;
    path += `${step === 0 ? 'M' : 'L'}${round(x + step * perStep)} ${Number.isNaN(lastY) ? y : lastY}V${y}`;
    lastY = y;
  }
  return `<path class="line p${policy}" stroke-width="${thickness(policy)}" d="${path}H${round(x + shown * perStep)}"/>`;
}

/** The policies' names at the right end of their lines, pushed apart where they would cover each other. */
function endLabels(panel: Panel, runs: Run[]): string {
  const yOf = yScale(panel, highestOf(panel));
  const labels = panel.lines
    .map(({ policy, values }) => ({ policy, total: values[Math.round(panel.hours / panel.stepHours) - 1] ?? 0 }))
    .map((label) => ({ ...label, y: yOf(label.total) }))
    .sort((a, b) => b.y - a.y);
  let below = Number.POSITIVE_INFINITY;
  return labels
    .map(({ policy, total, y }) => {
      below = Math.min(y, below - 13);
      return `<text class="name p${policy}" x="${panel.x + panel.width + 6}" y="${round(below)}" dominant-baseline="middle">${xml(runs[policy]?.policy ?? '')} ${number(total)}</text>`;
    })
    .join('');
}

const highestOf = (panel: Panel): number => {
  let highest = 1;
  for (const { values } of panel.lines) for (const value of values) if (value > highest) highest = value;
  return highest;
};

function yScale({ y, height, scale }: Panel, highest: number): (value: number) => number {
  const top = scale === 'log' ? Math.log1p(highest) : (linearTicks(highest).at(-1) ?? highest);
  return (value) => y + height - (height * (scale === 'log' ? Math.log1p(value) : value)) / top;
}

function linearTicks(highest: number): number[] {
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const ticks: number[] = [];
  for (let tick = 0; tick < highest + step - 1e-9; tick += step) ticks.push(Number(tick.toPrecision(6)));
  return ticks;
}

function logTicks(highest: number): number[] {
  const ticks = [0];
  for (let tick = 1; tick <= highest; tick *= 10) ticks.push(tick);
  return ticks;
}

function timeTicks(hours: number, width: number): number[] {
  const most = Math.max(2, Math.floor(width / 60));
  const step = [1 / 12, 1 / 6, 0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168, 720, 2190].find((one) => hours / one <= most) ?? hours;
  const ticks: number[] = [];
  for (let tick = 0; tick <= hours + 1e-9; tick += step) ticks.push(tick);
  return ticks;
}

const timeText = (at: number, hours: number): string =>
  hours > 72 ? `${Math.round(at / 24)} d` : hours <= 2 ? `${Math.round(at * 60)} min` : `${number(at)} h`;

const round = (value: number): number => Math.round(value * 10) / 10;

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));

const xml = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? '');
