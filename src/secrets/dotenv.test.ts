import { expect, test } from 'vitest';
import { parseDotenv } from './dotenv.ts';

const PLAIN = `\uFEFF# a comment
export A=plain value # comment
B="dq \\" esc \\n nl" # c
C='single $X \${Y} # not'
D=
E="multi
line"
F: yaml style
G=a#b
H="#x"
I=it's
J='a\\'b'
K="tab\\tback\\\\slash"
L=  spaced\t
N="a \\$dollar"
O='multi
single'
P=back\\slash
Q=a\\nb
R=x"y"z
`;

test('values are what Compose makes of them', () => {
  expect(parseDotenv(PLAIN)).toEqual({
    problems: [],
    values: {
      A: 'plain value',
      B: 'dq " esc \n nl',
      C: 'single $X ${Y} # not',
      D: '',
      E: 'multi\nline',
      F: 'yaml style',
      G: 'a#b',
      H: '#x',
      I: "it's",
      J: "a'b",
      K: 'tab\tback\\slash',
      L: 'spaced',
      N: 'a $dollar',
      O: 'multi\nsingle',
      P: 'back\\slash',
      Q: 'a\\nb',
      R: 'x"y"z',
    },
  });
});

test('what is no fixed value is a problem with its line, and never shows the value', () => {
  const { values, problems } = parseDotenv(
    `A=1\nB=pa\${X}canary\nC="canary $Y"\njust text canary\nE=5\n9F=canary\nG="x" canary\nD="open canary\n`,
  );
  expect(values).toEqual({ A: '1', E: '5' });
  expect(problems).toEqual([
    { line: 2, text: 'B: Compose would fill in a variable ("$"); set this one by hand' },
    { line: 3, text: 'C: Compose would fill in a variable ("$"); set this one by hand' },
    { line: 4, text: 'no value stands here' },
    { line: 6, text: 'the name is not one of an environment variable' },
    { line: 7, text: 'G: something stands after the closing quote' },
    { line: 8, text: 'D: a quote is not closed' },
  ]);
  expect(JSON.stringify(problems)).not.toContain('canary');
});
