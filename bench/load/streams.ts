import { WebSocket } from 'ws';
import { errorName, sendHttp1, target } from './requests.ts';
import { type Settings, versionOf } from './settings.ts';
import type { Tally } from './tally.ts';

/** Close codes by which a server ends a WebSocket in order: going away, service restart. */
const ORDERLY_CLOSE = [1001, 1012];

/** Opens one event stream and resolves when it has ended, however it did. Aborting `signal` ends it from our side, which counts as nothing. */
export function followEvents(settings: Settings, tally: Tally, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const begunAt = Date.now();
    const begun = performance.now();
    let version: string | undefined;
    let opened = false;
    let ended = false;
    let bye = false;
    const request = sendHttp1(settings, { path: settings.paths.sse, agent: false, headers: { accept: 'text/event-stream' } });
    let timer = setTimeout(() => end('timeout'), settings.timeoutMs);

    function end(how: string, status?: number): void {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
      request.destroy();
      if (!signal.aborted) {
        if (!opened) tally.failed('sse', begunAt, { error: how, status, version });
        else if (bye) tally.streamClean('sse');
        else tally.streamCut('sse', begunAt, how, version);
      }
      resolve();
    }
    const leave = () => end('left');
    signal.addEventListener('abort', leave);

    request.on('error', (error) => end(errorName(error)));
    request.on('response', (response) => {
      version = versionOf(settings, response.headers, '');
      if (response.statusCode !== 200) {
        response.resume();
        return end(`status ${response.statusCode}`, response.statusCode);
      }
      opened = true;
      tally.streamOpened('sse');
      tally.ok('sse', performance.now() - begun, version);
      let rest = '';
      const rearm = () => {
        clearTimeout(timer);
        timer = setTimeout(() => end('silent'), settings.silenceMs);
      };
      rearm();
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        rearm();
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        if (lines.some((line) => line.trimEnd() === 'event: bye')) bye = true;
      });
      response.on('error', (error) => end(errorName(error)));
      response.on('end', () => end('ended without bye'));
      response.on('close', () => end('closed'));
    });
    request.end();
  });
}

/** The same for a WebSocket. */
export function followWebSocket(settings: Settings, tally: Tally, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const begunAt = Date.now();
    const begun = performance.now();
    let version: string | undefined;
    let opened = false;
    let ended = false;
    const { servername, ca } = target(settings);
    const socket = new WebSocket(`${settings.tls ? 'wss' : 'ws'}://${settings.address}:${settings.port}${settings.paths.webSockets}`, {
      headers: { host: settings.host },
      handshakeTimeout: settings.timeoutMs,
      perMessageDeflate: false,
      ...(servername ? { servername } : {}),
      ...(ca ? { ca } : {}),
    });
    let heardAt = performance.now();
    let pulse: NodeJS.Timeout | undefined;

    function end(how: string, status?: number): void {
      if (ended) return;
      ended = true;
      clearInterval(pulse);
      signal.removeEventListener('abort', leave);
      if (!signal.aborted) {
        if (!opened) tally.failed('webSockets', begunAt, { error: how, status, version });
        else if (how === 'orderly') tally.streamClean('webSockets');
        else tally.streamCut('webSockets', begunAt, how, version);
      }
      socket.terminate();
      resolve();
    }
    const leave = () => {
      // Say goodbye so that the server does not see an abrupt end, but do not wait for its answer.
      if (opened) socket.close(1000);
      setTimeout(() => end('left'), opened ? 50 : 0);
    };
    signal.addEventListener('abort', leave);

    socket.on('upgrade', (response) => {
      version = versionOf(settings, response.headers, '');
    });
    socket.on('unexpected-response', (_request, response) => {
      version = versionOf(settings, response.headers, '');
      response.resume();
      end(`status ${response.statusCode}`, response.statusCode);
    });
    socket.on('open', () => {
      opened = true;
      tally.streamOpened('webSockets');
      tally.ok('webSockets', performance.now() - begun, version);
      heardAt = performance.now();
      pulse = setInterval(() => {
        if (performance.now() - heardAt > settings.silenceMs) return end('silent');
        if (socket.readyState === WebSocket.OPEN) socket.ping();
      }, settings.silenceMs / 3);
    });
    const heard = () => {
      heardAt = performance.now();
    };
    socket.on('message', heard);
    socket.on('ping', heard);
    socket.on('pong', heard);
    let problem: string | undefined;
    socket.on('error', (error) => {
      problem = /handshake has timed out/.test(error.message) ? 'timeout' : errorName(error);
      if (!opened) end(problem);
    });
    socket.on('close', (code) => end(ORDERLY_CLOSE.includes(code) ? 'orderly' : (problem ?? `close ${code}`)));
  });
}
