import { describe } from 'vitest';
import { hasImage } from '../../../test/support/images.ts';
import { dumpContract } from './contract.ts';
import { mongodb } from './mongodb.ts';

const IMAGE = 'mongo:8';
const PASSWORD = 'for "tests" \\only\\ $(id)';
const isThere = await hasImage(IMAGE, 'MongoDB');

const script = (text: string): string[] => [
  'mongosh',
  '--quiet',
  `mongodb://root:${encodeURIComponent(PASSWORD)}@127.0.0.1:27017/shop?authSource=admin&directConnection=true`,
  '--eval',
  text,
];

describe.skipIf(!isThere)('against a real server', () => {
  dumpContract(mongodb, {
    image: IMAGE,
    run: ['-e', 'MONGO_INITDB_ROOT_USERNAME=root', '-e', `MONGO_INITDB_ROOT_PASSWORD=${PASSWORD}`],
    database: '',
    program: 'mongodump',
    fill: [
      script(`
        for (let part = 0; part < 20; part++)
          db.orders.insertMany(Array.from({ length: 1000 }, (_, n) => ({ n: part * 1000 + n, note: 'x'.repeat(900), at: new Date(n) })));
        db.orders.createIndex({ n: 1 }, { unique: true });
        db.createCollection('empty');
        db.createCollection('log', { capped: true, size: 65536 });
        db.log.insertOne({ text: 'begun' });
        db.createView('recent', 'orders', [{ $match: { n: { $gt: 19990 } } }]);
        db.getSiblingDB('other').things.insertOne({ odd: { 'a b': [1, null, /x/] } });
        db.createRole({ role: 'reporter', privileges: [{ resource: { db: 'shop', collection: 'orders' }, actions: ['find'] }], roles: [] });
        db.createUser({ user: 'reporting', pwd: 'for-tests-only', roles: ['reporter'] });`),
    ],
    same: script(`
      const found = db.getCollectionInfos().map(({ info, ...one }) => one).sort((a, b) => a.name.localeCompare(b.name));
      print(JSON.stringify([found, db.orders.getIndexes().map(({ ns, ...one }) => one), db.recent.countDocuments({}),
        db.getUsers().users.map(({ userId, ...one }) => one), db.getRole('reporter', { showPrivileges: true })]));`),
  });
});
