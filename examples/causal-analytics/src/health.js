// Plain JavaScript and one built-in module: the check runs in a process of its own every time, so it has to start fast.
import { get } from 'node:http';

get({ host: '127.0.0.1', port: Number(process.env.PORT ?? 8000), path: '/health', timeout: 2_000, agent: false }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
})
  .on('timeout', () => process.exit(1))
  .on('error', () => process.exit(1));
