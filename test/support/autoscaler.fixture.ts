import { runAutoscaler } from '../../src/autoscale/loop.ts';
import { openDocker } from '../../src/docker/api.ts';
import { compileWithoutOptimizing } from '../../src/kit/memory.ts';

/** The autoscaler in a process of its own, compiled as the agent is, to be killed: node autoscaler.fixture.ts STATE_FOLDER HOST_FACTS */
compileWithoutOptimizing();
const [stateFolder = '', host = ''] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await runAutoscaler({
  stateFolder,
  docker: openDocker(),
  report: (event) => 'text' in event && console.log(event.text),
  signal: stop.signal,
  host: JSON.parse(host),
});
