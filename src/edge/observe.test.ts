import { expect, test } from 'vitest';
import { parseRoutes } from './network.ts';
import { parseMap, parseServersState, parseSessions, parseStat, parseWorkers, sumStats } from './observe.ts';
import { parseListeners } from './ports.ts';

test('servers: drained by order, drained by weight, taken out, ready', () => {
  const text = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 shop.api.8000 1 hold 127.0.0.1 0 5 1 1 2 1 0 0 8 0 0 0 - 1 - 0 0 - - 0
3 shop.api.8000 2 a 127.0.0.1 2 0 0 0 1 6 3 2 6 0 0 0 - 18081 - 0 0 - - 0
3 shop.api.8000 3 b 127.0.0.1 2 0 1 1 1 6 3 2 6 0 0 0 - 18082 - 0 0 - - 0
3 shop.api.8000 4 c 127.0.0.1 0 8 1 1 0 1 0 0 6 0 0 0 - 18082 - 0 0 - - 0

`;
  expect(parseServersState(text).map(({ name, port, state }) => `${name} ${port} ${state}`)).toEqual([
    'hold 1 maint',
    'a 18081 drain',
    'b 18082 ready',
    'c 18082 drain',
  ]);
});

test('maps and workers', () => {
  expect(parseMap('0x7f3a80573300 localhost/ shop.api.8000|tls\n0x7f3a80573301 a/ b\n\n')).toEqual({
    'localhost/': 'shop.api.8000|tls',
    'a/': 'b',
  });
  const text = `#<PID>          <type>          <reloads>       <uptime>        <version>
1               master          1 [failed: 0]   0d00h11m55s     3.2.26-1
# workers
11              worker          0               0d00h00m00s     3.2.26-1
# old workers
8               worker          1               0d00h11m55s     3.2.26-1
`;
  expect(parseWorkers(text)).toEqual({ current: [11], old: [8] });
});

test('figures of several processes are added up, the newest one tells the state', () => {
  const head = '# pxname,svname,scur,stot,econ,eresp,hrsp_5xx,status,weight,check_status,check_code,check_duration,last_chk,rtime,type,\n';
  const now = parseStat(
    `${head}api,a,1,10,1,0,2,UP 1/2,1,* L7OK,200,3,"OK, fine",7,2,\napi,hold,0,9,9,0,0,MAINT,1,,,,,0,2,\napi,b,0,0,0,0,0,UP,0,INI,,0,,0,2,\napi,BACKEND,1,10,1,0,2,UP,1,,,,,0,1,\n`,
  );
  const old = parseStat(
    `${head}api,a,2,5,0,1,1,DOWN,1,L4CON,,0,Connection refused,9,2,\napi,gone,3,4,0,0,0,UP,1,L4OK,,0,,1,2,\napi,idle,0,4,0,0,0,UP,1,L4OK,,0,,1,2,\n`,
  );
  expect(sumStats([now, old])).toEqual([
    {
      backend: 'api',
      server: 'a',
      status: 'UP',
      checkPassed: true,
      checkText: 'L7OK/200 in 3 ms',
      sessions: 3,
      requests: 15,
      responses5xx: 3,
      connectionErrors: 1,
      responseErrors: 1,
      responseTimeMs: 7,
    },
    {
      backend: 'api',
      server: 'b',
      status: 'DRAIN',
      checkPassed: false,
      checkText: 'not checked yet',
      sessions: 0,
      requests: 0,
      responses5xx: 0,
      connectionErrors: 0,
      responseErrors: 0,
      responseTimeMs: 0,
    },
    {
      backend: 'api',
      server: 'gone',
      status: 'UP',
      checkPassed: true,
      checkText: 'L4OK in 0 ms',
      sessions: 3,
      requests: 4,
      responses5xx: 0,
      connectionErrors: 0,
      responseErrors: 0,
      responseTimeMs: 1,
    },
  ]);
  expect(sumStats([old])[0]?.checkText).toBe('L4CON: Connection refused');
  expect(sumStats([now, old], ['web'])).toEqual([]);
});

test('sessions with and without an answer', () => {
  const session = (status: string) => `0x7f5ea0b0b000: [21/Nov/2026:11:09:23.168175] id=2 proto=tcpv4\n  server=s1 (id=1)\n${status}`;
  const text = [
    session('  txn=0x7 flags=0x3000 meth=1 status=-1 req.st=MSG_DONE\n       .meth=GET status=0\n'),
    session('  txn=0x7 flags=0x1 meth=1 status=200 req.st=X\n'),
    session('  txn=0x7 flags=0x1 meth=1 status=101 req.st=X\n'),
    session('  task=0x1\n'),
  ].join('');
  expect(parseSessions(`${text}\n`)).toEqual({ waiting: 1, answering: 3 });
  expect(parseSessions('\n')).toEqual({ waiting: 0, answering: 0 });
});

test('what the host itself reports', () => {
  expect(
    parseRoutes(
      'Iface\tDestination\tGateway\nbr0\t0007D60A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\neth0\t00000000\t010002C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n',
    ),
  ).toEqual(['10.214.7.0/24']);
  expect(
    parseListeners(
      '  sl  local_address rem_address   st\n   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n   1: 0100007F:1F90 0100007F:C001 01 0:0 0:0 0 0 0 4712 1\n',
    ),
  ).toEqual([{ port: 8080, inode: '4711' }]);
});
