import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { EXIT_CODES } from '../../src/kit/errors.ts';
import { round } from '../support/numbers.ts';
import { type Row, say } from '../support/report.ts';
import { dataFaults } from './faults/data.ts';
import { type Answer, type Fault, leavingNothing, type Subject } from './faults/model.ts';
import { repositoryFaults } from './faults/repository.ts';
import { setFaults } from './faults/set.ts';
import { finder, withSubject } from './faults/subject.ts';

const FAULTS: readonly Fault[] = [...dataFaults, ...repositoryFaults, ...setFaults];

/** Each of these has to succeed before anything is spoiled: who finds fault with everything finds every fault. */
const CONTROL: readonly (readonly string[])[] = [
  ['backup', 'init', '--yes'],
  ['backup', 'run'],
  ['backup', 'verify', '--all'],
  ['backup', 'drill'],
  ['backup', 'restore', '--to', './healthy'],
  ['backup', 'prune', '--yes'],
];

/**
 * Injects one fault after the other into a small project that is well, and asks the command that has to find it. Found is a fault when the command
 * ends with its code and its words; a backup that failed has moreover left no snapshot.
 */
export async function measureFaults(bin: string): Promise<{ injected: number; detected: number; rows: Row[] }> {
  const rows: Row[] = [];
  let detected = 0;
  await withSubject(bin, async (subject) => {
    for (const args of CONTROL) {
      const { code, text } = await finder(subject, args).run();
      if (code !== 'OK') throw new Error(`${args.join(' ')} of a project that is well ended with ${code}:\n${text}`);
    }
    say('all is well without a fault');
    for (const fault of FAULTS) {
      const began = performance.now();
      const answer = await injected(subject, fault);
      const isFound = isFoundBy(fault, answer);
      say(`${fault.name}: ${fault.by.join(' ')} ended with ${answer.code}${isFound ? '' : `, which does not find it\n${answer.text}`}`);
      if (isFound) detected += 1;
      rows.push({
        fault: fault.name,
        'detected by': fault.by.join(' '),
        code: answer.code,
        detected: isFound ? 'yes' : 'NO',
        seconds: round((performance.now() - began) / 1000, 1),
      });
    }
  });
  return { injected: FAULTS.length, detected, rows };
}

async function injected(subject: Subject, fault: Fault): Promise<Answer> {
  const snapshots = () => readdir(join(subject.repository, 'snapshots'));
  const before = new Set(await snapshots());
  const answer = await fault.happen(subject, finder(subject, fault.by));
  return answer.code === 'OK'
    ? answer
    : leavingNothing(
        answer,
        (await snapshots()).filter((name) => !before.has(name)),
      );
}

const isFoundBy = ({ code, says }: Fault, answer: Answer): boolean =>
  answer.code === code && answer.exitCode === (code === 'OK' ? 0 : EXIT_CODES[code]) && answer.text.includes(says);
