/** Labels that Compose puts on what it creates; we read them and never write them. */
export const COMPOSE = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  number: 'com.docker.compose.container-number',
  configHash: 'com.docker.compose.config-hash',
  oneoff: 'com.docker.compose.oneoff',
  volume: 'com.docker.compose.volume',
  image: 'com.docker.compose.image',
  configFiles: 'com.docker.compose.project.config_files',
  workingDir: 'com.docker.compose.project.working_dir',
  environmentFile: 'com.docker.compose.project.environment_file',
} as const;

/** Labels on containers and networks that Composure itself creates. Nothing without one of them is ever removed as ours. */
export const OURS = {
  /** Value: the name of the edge that the container or network belongs to. */
  edge: 'composure.edge',
  /** On an edge network: the project it serves. */
  project: 'composure.project',
  /** On the agent's container. Value: its name. */
  agent: 'composure.agent',
  /** On the agent's container: a hash of what it was made from. */
  agentSpec: 'composure.agent.spec',
  /** On an image that `agent install` built. */
  agentImage: 'composure.agent.image',
  /** On an edge container: its generation. */
  generation: 'composure.edge.generation',
  /** On a container of restic, which lives as long as one call of it. */
  restic: 'composure.restic',
  /** On what a drill or a restore makes to look at data, and removes again: containers, networks, volumes. Value: its id. */
  scratch: 'composure.scratch',
  /** Beside it: the process that it belongs to. */
  scratchOwner: 'composure.scratch.owner',
  /** Beside it, where a person asked to keep it: the project that it was made from. */
  scratchKept: 'composure.scratch.kept',
  /** On a volume with what a restore replaced; it is removed by hand. Value: the restore's id. */
  kept: 'composure.kept',
  /** On a volume that a restore fills before it changes places with the live one. Value: the restore's id. */
  restore: 'composure.restore',
} as const;
