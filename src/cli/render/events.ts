import { styleText } from 'node:util';
import { formatMs } from '../../kit/duration.ts';
import type { ProgressEvent, Report } from '../../kit/events.ts';
import type { Io } from '../io.ts';

/** One renderer per kind of reader; all get the same events. Progress goes to stderr, so that stdout holds only the result. */
export function renderer(io: Pick<Io, 'stderr'>, kind: 'tty' | 'plain' | 'json', width?: () => number): Report {
  if (kind === 'json') return (event) => io.stderr(`${JSON.stringify(event)}\n`);
  return kind === 'tty' ? terminal(io, width) : plain(io);
}

/** For logs: every line tells by itself what it is about, because steps may lie within others. */
function plain(io: Pick<Io, 'stderr'>): Report {
  const names = new Map<string, string>();
  return (event) => {
    if (event.kind === 'step-start') names.set(event.step, event.text);
    if (event.kind === 'step-progress') return;
    io.stderr(plainLine(event, 'step' in event ? names.get(event.step) : undefined));
  };
}

function plainLine(event: Exclude<ProgressEvent, { kind: 'step-progress' }>, name = ''): string {
  switch (event.kind) {
    case 'step-start':
      return `… ${event.text}\n`;
    case 'step-done':
    case 'step-failed':
      return `${[`${event.kind === 'step-done' ? '✓' : '✗'} ${name}`.trim(), formatMs(event.ms), event.text].filter(Boolean).join('  ')}\n`;
    case 'note':
      return `${event.text}\n`;
    case 'warning':
      return `warning: ${event.text}\n`;
    case 'output':
      return `  ${event.source} | ${event.text}\n`;
    default:
      return event satisfies never;
  }
}

/** What is under way stands in the last line, which is written over; what is done and what is said go above it. */
function terminal(io: Pick<Io, 'stderr'>, width: () => number = () => process.stderr.columns ?? 80): Report {
  const running = new Map<string, { text: string; progress: string }>();
  let isShown = false;
  const clear = (): void => {
    if (isShown) io.stderr('\r\x1b[2K');
    isShown = false;
  };
  const draw = (): void => {
    if (running.size === 0) return;
    const all = [...running.values()].map(({ text, progress }) => (progress === '' ? text : `${text}  ${progress}`)).join(', ');
    // A line that wraps could not be cleared.
    io.stderr(`${styleText('yellow', '…')} ${all.slice(0, Math.max(20, width() - 3))}`);
    isShown = true;
  };
  return (event) => {
    clear();
    switch (event.kind) {
      case 'step-start':
        running.set(event.step, { text: event.text, progress: '' });
        break;
      case 'step-progress': {
        const step = running.get(event.step);
        if (step) step.progress = event.text;
        break;
      }
      case 'step-done':
      case 'step-failed': {
        const mark = event.kind === 'step-done' ? styleText('green', '✓') : styleText('red', '✗');
        const tail = `${styleText('dim', formatMs(event.ms))}${event.text ? `  ${styleText('dim', event.text)}` : ''}`;
        io.stderr(`${mark} ${running.get(event.step)?.text ?? ''}  ${tail}\n`);
        running.delete(event.step);
        break;
      }
      case 'note':
      case 'warning':
      case 'output':
        io.stderr(event.kind === 'warning' ? `${styleText('yellow', 'warning:')} ${event.text}\n` : plainLine(event));
        break;
      default:
        event satisfies never;
    }
    draw();
  };
}
