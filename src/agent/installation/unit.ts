import { NODE_OPTIONS, type Wanted } from './model.ts';

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
 * The unit. Backups are its children: as root they read every volume, write to a repository in a folder of this host, and a drill gives files
 * back to their owners; of the system itself nothing can be written. Node
 * compiles at run time, so MemoryDenyWriteExecute cannot be set; identities of other processes are read from /proc, so ProtectProc cannot.
 */
export function unitText(wanted: Wanted): string {
  const { state, owner, socket, node, script } = wanted;
  const command = (...args: string[]): string => [node, script, ...args].map((arg) => unitWord(arg, { command: true })).join(' ');
  const root = owner.uid === 0;
  const temporary = [state, node, script, socket.path].some((path) => /^\/(var\/)?tmp\//.test(path));
  return `${UNIT_MARK}
[Unit]
Description=Composure agent: scales, routes and certifies this host's Compose projects
After=docker.service network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${command('agent', 'run')}
# Whatever ended it, kill -9 included: nothing stays frozen that nobody would thaw.
ExecStopPost=-${command('agent', 'thaw')}
Environment=${unitWord(`COMPOSURE_STATE_DIR=${state}`)} ${unitWord(`DOCKER_HOST=unix://${socket.path}`)} COMPOSURE_AGENT_FORM=systemd NODE_OPTIONS=${NODE_OPTIONS}
Restart=always
RestartSec=2
TimeoutStopSec=60
KillMode=mixed
UMask=0077
${root ? 'CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER' : `User=${owner.uid}\nGroup=${owner.gid}\nSupplementaryGroups=${socket.gid}\nCapabilityBoundingSet=`}
NoNewPrivileges=yes
ProtectSystem=full
ReadWritePaths=${unitWord(state)}
ProtectHome=read-only
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
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}
