import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventQueue } from './event-queue.ts';
import { Fifo } from './fifo.ts';

test('events come by time, and those of one time in the order they were added, also when taking and adding take turns', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ at: fc.integer({ min: 0, max: 20 }), take: fc.boolean() }), { maxLength: 900 }), (steps) => {
      const queue = new EventQueue();
      const model: { at: number; id: number }[] = [];
      steps.forEach(({ at, take }, id) => {
        queue.add(at, 1, id, id * 2, id * 3);
        model.push({ at, id });
        model.sort((left, right) => left.at - right.at || left.id - right.id);
        if (!take) return;
        expect(queue.nextMs).toBe(model[0]?.at);
        queue.pop();
        expect([queue.kind, queue.a, queue.b, queue.c]).toEqual([1, ...[1, 2, 3].map((factor) => (model[0]?.id ?? -1) * factor)]);
        model.shift();
      });
      for (const { id } of model) {
        queue.pop();
        expect(queue.a).toBe(id);
      }
      expect(queue.nextMs).toBe(Number.POSITIVE_INFINITY);
    }),
  );
});

test('a fifo that is filled from both ends gives what a list gives', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('push', 'unshift', 'shift'), { maxLength: 400 }), (steps) => {
      const fifo = new Fifo(4);
      const model: number[] = [];
      steps.forEach((step, value) => {
        if (step === 'push') {
          fifo.push(value);
          model.push(value);
        } else if (step === 'unshift') {
          fifo.unshift(value);
          model.unshift(value);
        } else if (model.length > 0) expect(fifo.shift()).toBe(model.shift());
        expect(fifo.size).toBe(model.length);
      });
    }),
  );
});
