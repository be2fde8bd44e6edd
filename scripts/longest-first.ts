import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest for their size, by which a fresh clone orders them: begun last, one of them would run alone at the end. */
const LONGEST = [
  'scenarios/crash.test.ts',
  'dumps/mysql.engine.test.ts',
  'dumps/mysql-accounts.engine.test.ts',
  'dumps/mongodb.engine.test.ts',
];

/** The order in which Vitest begins test files. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => LONGEST.some((name) => moduleId.endsWith(name));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
