import { createServer } from 'node:http';
import { hostname } from 'node:os';

const server = createServer((_request, response) => response.end(`${process.env.GREETING} from ${hostname()}\n`)).listen(3000);
process.on('SIGTERM', () => server.close());
