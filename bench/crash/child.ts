/** `node child.ts ENTRY ARGUMENT...` runs a command line and kills itself, as kill -9 does, once entry number ENTRY of the journal is on the disk. */
import { main } from '../../src/cli/main.ts';

const [entry = '', ...argv] = process.argv.slice(2);
let seen = 0;

process.exitCode = await main(argv, {
  cwd: process.cwd(),
  env: process.env,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  isTTY: false,
  afterJournal: () => {
    seen += 1;
    if (seen === Number(entry)) process.kill(process.pid, 'SIGKILL');
  },
});
