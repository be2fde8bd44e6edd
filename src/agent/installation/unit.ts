import { smallEnvironment, type Wanted } from './model.ts';

/** The first line of every unit that we write; without it no unit is taken for ours. */
export const UNIT_MARK = '# Written by composure agent install; composure agent uninstall removes it.';

/** Where the host's administrator keeps units; it goes before what packages bring. */
export const UNIT_FOLDER = '/etc/systemd/system';

/** A word of a command line or list in a unit: quoted, with systemd's specifiers and variables switched off. */
export function unitWord(text: string, { command = false }: { command?: boolean } = {}): string {
  const plain = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%');
  const safe = command ? plain.replaceAll('$', '$$$$') : plain;
  return /^[\w/.:@=,+-]+$/.test(safe) ? safe : `"${safe}"`;
}

/**
 * What root's agent may do: read every project and volume, write to a repository wherever it lies, and restore files in a drill as they were,
 * with owners, modes and the setuid bit.
 */
const AS_ROOT = `CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_SETFCAP
ProtectSystem=full`;

/** Another user's agent cannot read volumes, so it makes no backups, and writes nothing but the state folder and metrics. */
const asUser = ({ owner, socket, state, metrics }: Wanted): string => `User=${owner.uid}
Group=${owner.gid}
SupplementaryGroups=${socket.gid}
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=${[state, ...(metrics === undefined ? [] : [metrics])].map((path) => unitWord(path)).join(' ')}
ProtectHome=read-only
RestrictSUIDSGID=yes`;

/** The unit. Node compiles at run time, so MemoryDenyWriteExecute cannot be set; identities of other processes are read from /proc, so ProtectProc cannot. */
export function unitText(wanted: Wanted): string {
  const { state, metrics, owner, socket, node, script } = wanted;
  const command = (...args: string[]): string => [node, script, ...args].map((arg) => unitWord(arg, { command: true })).join(' ');
  const temporary = [state, node, script, socket.path].some((path) => /^\/(var\/)?tmp\//.test(path));
  return `${UNIT_MARK}
[Unit]
Description=Composure agent: scales, routes, certifies and backs up this host's Compose projects
After=docker.service network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${command('agent', 'run')}
# Whatever ended it, kill -9 included: nothing stays frozen that nobody would thaw.
ExecStopPost=-${command('agent', 'thaw')}
Environment=${unitWord(`COMPOSURE_STATE_DIR=${state}`)} ${unitWord(`DOCKER_HOST=unix://${socket.path}`)} COMPOSURE_AGENT_FORM=systemd
Environment=${smallEnvironment().join(' ')}
${metrics === undefined ? '' : `Environment=${unitWord(`COMPOSURE_METRICS_DIR=${metrics}`)}\n`}Restart=always
RestartSec=2
TimeoutStopSec=60
KillMode=mixed
UMask=0077
${owner.uid === 0 ? AS_ROOT : asUser(wanted)}
NoNewPrivileges=yes
${temporary ? '' : 'PrivateTmp=yes\n'}PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}
