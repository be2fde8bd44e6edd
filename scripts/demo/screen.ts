import { styleText } from 'node:util';
import type { Figures } from './figures.ts';

const PLAIN_EVERY_MS = 5_000;

export interface Screen {
  /** Begins an act: a headline, and below it what is going on. */
  act(title: string): void;
  /** What is happening now, in a few words. */
  doing(text: string): void;
  /** Fresh counters. */
  counters(figures: Figures): void;
  /** Ends the act with what came of it. */
  done(good: boolean, text: string): void;
  say(text: string): void;
}

/** On a terminal one line shows what is going on and is written over; elsewhere it is printed again every few seconds. */
export function openScreen(write: (text: string) => void, isTTY: boolean, width: () => number): Screen {
  let title = '';
  let now = '';
  let figures: Figures | undefined;
  let begun = 0;
  let printedAt = 0;

  const clear = (): void => {
    if (isTTY) write('\r\x1b[2K');
  };
  const tally = (): string => {
    if (!figures) return '';
    const own = figures.answered500 > 0 ? ` (and ${figures.answered500} answers 500)` : '';
    return `${figures.served.toLocaleString('en-US')} served, ${figures.failed - figures.answered500} failed${own}, ${figures.cut} streams cut`;
  };
  const line = (): string => {
    const time = `${((performance.now() - begun) / 1000).toFixed(0)} s`;
    return [`    ${time.padStart(4)}  ${now}`, tally()].filter(Boolean).join('  |  ');
  };
  const draw = (): void => {
    if (title === '') return;
    if (isTTY) {
      clear();
      write(styleText('dim', line().slice(0, Math.max(20, width() - 1))));
    } else if (performance.now() - printedAt >= PLAIN_EVERY_MS) {
      printedAt = performance.now();
      write(`${line()}\n`);
    }
  };

  return {
    act(text) {
      clear();
      title = text;
      now = '';
      begun = performance.now();
      printedAt = begun;
      write(`${styleText('bold', text)}\n`);
    },
    doing(text) {
      now = text;
      draw();
    },
    counters(fresh) {
      figures = fresh;
      draw();
    },
    done(good, text) {
      clear();
      const mark = good ? styleText('green', '✓') : styleText('red', '✗');
      const time = styleText('dim', `${((performance.now() - begun) / 1000).toFixed(1)} s`);
      write(`  ${mark} ${text}  ${time}${figures ? styleText('dim', `  |  ${tally()}`) : ''}\n`);
      title = '';
    },
    say(text) {
      clear();
      write(`${text}\n`);
    },
  };
}
