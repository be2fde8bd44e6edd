import { expect, test } from 'vitest';
import { drive, type Work } from './drive.ts';

function* spin(milliseconds: number, onClose: () => void): Work<string> {
  const start = performance.now();
  try {
    for (;;) {
      const done = (performance.now() - start) / milliseconds;
      if (done >= 1) return 'done';
      yield done;
    }
  } finally {
    onClose();
  }
}

test('long work lets timers run and reports how far it is', async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const progress: number[] = [];
  const result = await drive(
    spin(200, () => {}),
    { onProgress: (done) => progress.push(done), sliceMs: 10 },
  );
  clearInterval(timer);
  expect(result).toBe('done');
  expect(ticks).toBeGreaterThan(3);
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
});

test('an abort ends the work in the middle, with the reason, and closes it', async () => {
  const controller = new AbortController();
  let closed = false;
  const running = drive(
    spin(60_000, () => {
      closed = true;
    }),
    { signal: controller.signal, sliceMs: 5 },
  );
  setTimeout(() => controller.abort(new Error('the worker stops')), 30);
  await expect(running).rejects.toThrow('the worker stops');
  expect(closed).toBe(true);
});
