import { main } from './main.ts';

process.exitCode = await main(process.argv.slice(2), {
  cwd: process.cwd(),
  env: process.env,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  isTTY: Boolean(process.stdin.isTTY && process.stdout.isTTY),
  outIsTTY: Boolean(process.stdout.isTTY),
});
// An open socket or timer must not keep a command alive that has said everything; what it wrote has to get out first.
process.stdout.write('', () => process.stderr.write('', () => process.exit()));
