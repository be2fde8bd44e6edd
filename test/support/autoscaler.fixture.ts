import { runAutoscaler } from '../../src/autoscale/loop.ts';
import { openDocker } from '../../src/docker/api.ts';

/** The autoscaler in a process of its own, to be killed: node autoscaler.fixture.ts STATE_FOLDER HOST_FACTS */
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
