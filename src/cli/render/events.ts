import { styleText } from 'node:util';
import { formatMs } from '../../kit/duration.ts';
import type { ProgressEvent, Report } from '../../kit/events.ts';
import type { Io } from '../io.ts';

/** One renderer per kind of reader; all get the same events. Progress goes to stderr, so that stdout holds only the result. */
export function renderer(io: Io, kind: 'tty' | 'plain' | 'json'): Report {
  if (kind === 'json') return (event) => io.stderr(`${JSON.stringify(event)}\n`);
  return kind === 'tty' ? terminal(io) : plain(io);
}

/** For logs: every line tells by itself what it is about, because steps may lie within others. */
function plain(io: Io): Report {
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

/** A step's line is shown while it runs and replaced by its outcome. */
function terminal(io: Io): Report {
  const names = new Map<string, string>();
  let open: string | undefined;
  const close = (): void => {
    if (open !== undefined) io.stderr('\n');
    open = undefined;
  };
  return (event) => {
    switch (event.kind) {
      case 'step-start':
        close();
        open = event.step;
        names.set(event.step, event.text);
        io.stderr(`${styleText('yellow', '…')} ${event.text}`);
        return;
      case 'step-progress':
        if (open === event.step)
          io.stderr(`\r\x1b[2K${styleText('yellow', '…')} ${names.get(event.step) ?? ''}  ${styleText('dim', event.text)}`);
        return;
      case 'step-done':
      case 'step-failed': {
        const mark = event.kind === 'step-done' ? styleText('green', '✓') : styleText('red', '✗');
        const tail = `${styleText('dim', formatMs(event.ms))}${event.text ? `  ${styleText('dim', event.text)}` : ''}`;
        const line = `${mark} ${names.get(event.step) ?? ''}  ${tail}\n`;
        // Another line may stand below the step's own by now: then the outcome gets a line for itself.
        if (open === event.step) io.stderr(`\r\x1b[2K${line}`);
        else {
          close();
          io.stderr(line);
        }
        open = undefined;
        return;
      }
      case 'note':
      case 'warning':
      case 'output':
        close();
        io.stderr(event.kind === 'warning' ? `${styleText('yellow', 'warning:')} ${event.text}\n` : plainLine(event));
        return;
      default:
        event satisfies never;
    }
  };
}
