import { createHash } from 'node:crypto';
import { OURS } from '../../docker/labels.ts';
import { smallEnvironment, type Wanted } from './model.ts';

/**
 * What the Engine API is given for the agent's container. It shares the host's network, because it talks to addresses on the projects'
 * networks, and the host's process ids, because locks name their holder by them.
 */
export function agentContainerSpec(wanted: Wanted): object {
  const { name, state, owner, socket, image, builds } = wanted;
  const root = owner.uid === 0;
  const spec = {
    Image: image,
    Cmd: ['agent', 'run'],
    User: `${owner.uid}:${owner.gid}`,
    WorkingDir: '/',
    Env: [`COMPOSURE_STATE_DIR=${state}`, `DOCKER_HOST=unix://${socket.path}`, 'COMPOSURE_AGENT_FORM=container', ...smallEnvironment()],
    StopTimeout: 60,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: 'host',
      PidMode: 'host',
      RestartPolicy: { Name: 'unless-stopped' },
      Binds: [`${state}:${state}`, `${socket.path}:${socket.path}`],
      GroupAdd: root ? [] : [String(socket.gid)],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'size=64m,mode=1777' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  };
  const hash = createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 16);
  return { ...spec, Labels: { [OURS.agent]: name, [OURS.agentSpec]: hash, ...(builds ? { [OURS.agentImage]: image } : {}) } };
}

export const specHash = (spec: object): string => (spec as { Labels: Record<string, string> }).Labels[OURS.agentSpec] ?? '';
