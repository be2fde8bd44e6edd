import { runAgent } from '../../agent/agent.ts';
import { runAutoscaler } from '../../autoscale/loop.ts';
import { engineSocket, openDocker } from '../../docker/api.ts';
import { openEdge } from '../../edge/edge.ts';
import { compileWithoutOptimizing } from '../../kit/memory.ts';
import type { AgentForm } from '../../state/agent.ts';
import { stateFolder } from '../../state/folder.ts';
import { interruption, reporter } from '../context.ts';
import type { Io } from '../io.ts';

export async function agentCommand(io: Io, flags: { json?: boolean; dryRun?: boolean }): Promise<void> {
  compileWithoutOptimizing();
  const docker = openDocker(engineSocket(io.env));
  const report = reporter(io, flags);
  const folder = stateFolder(io.env);
  const signal = io.signal ?? interruption();
  // It only looks, so it may do so beside the agent that does the work.
  if (flags.dryRun) return runAutoscaler({ stateFolder: folder, docker, report, signal, dryRun: true });
  await runAgent({
    stateFolder: folder,
    docker,
    edge: openEdge({ stateFolder: folder, docker, report }),
    report,
    form: formOf(io.env),
    signal,
  });
}

/** The unit and the container say what they are; whoever says nothing was started by hand. */
function formOf({ COMPOSURE_AGENT_FORM: form }: NodeJS.ProcessEnv): AgentForm {
  return form === 'systemd' || form === 'container' ? form : 'foreground';
}
