import { expect, test } from 'vitest';
import { newFile } from './new-file.ts';

test('a file that is to be written is new, in a folder that is there', () => {
  expect(newFile({ cwd: import.meta.dirname }, 'kit.age')).toBe(`${import.meta.dirname}/kit.age`);
  expect(() => newFile({ cwd: import.meta.dirname }, 'new-file.ts')).toThrow('there is a file of that name already');
  expect(() => newFile({ cwd: import.meta.dirname }, 'nowhere/kit.age')).toThrow('/nowhere does not exist');
});
