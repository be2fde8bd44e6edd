import { describe, expect, test } from 'vitest';
import { parseMysqlConnection } from './mysql-connection.ts';
import { parsePostgresConnection } from './postgresql-connection.ts';

describe('a connection string of PostgreSQL', () => {
  const whole = { host: 'db', port: 5433, user: 'me', password: "a b'@/", database: 'shop', sslmode: 'require' };
  test.each([
    ["postgres://me:a%20b'%40%2F@db:5433/shop?sslmode=require", whole],
    ["host=db port=5433 user=me password='a b\\'@/' dbname=shop sslmode=require", whole],
    ["host = db port=5433 user=me password=a\\ b\\'@/ dbname=shop sslmode = require application_name=x", whole],
    ['postgresql://me@db', { host: 'db', port: 5432, user: 'me', database: 'me', sslmode: 'prefer' }],
    ['postgresql://me@[fd00::1]/shop', { host: 'fd00::1', port: 5432, user: 'me', database: 'shop', sslmode: 'prefer' }],
    ['host=db user=me', { host: 'db', port: 5432, user: 'me', database: 'me', sslmode: 'prefer' }],
    ['mysql://me@db', 'it is neither a postgres:// URL nor name=value pairs'],
    ['host=db user=me nonsense', 'it is neither a postgres:// URL nor name=value pairs'],
    ['postgres://me:%zz@db', 'it is neither a postgres:// URL nor name=value pairs'],
    ['postgres://db/shop', 'it names no user'],
    ['user=me', 'it names no host'],
    ['host=/var/run/postgresql user=me', 'it names a Unix socket, which is not reached from outside of the container'],
    ['host=a,b user=me', 'it names several hosts, and one is supported'],
    ['host=db user=me sslrootcert=/ca.pem', 'the setting sslrootcert is not supported'],
    ['postgres://me@db/shop?target_session_attrs=any', 'the setting target_session_attrs is not supported'],
    ['postgres://me:12?34@db/shop', 'a setting of it is not supported'],
    ['host=db user=me sslmode=maybe', 'its sslmode is none of libpq'],
    ['host=db user=me port=x', 'its port is not a number'],
  ])('%s', (text, expected) => expect(parsePostgresConnection(text)).toEqual(expected));
});

describe('a connection string of MySQL', () => {
  const plain = { host: 'db', port: 3306, user: 'me', password: 'secret', database: 'shop', tls: 'false' };
  test.each([
    ['me:secret@tcp(db:3306)/shop', plain],
    ['me:secret@tcp(db)/shop?parseTime=true&loc=Europe%2FBerlin', plain],
    ['me:p@ss/w:or(d@tcp(db:3307)/shop?tls=skip-verify', { ...plain, password: 'p@ss/w:or(d', port: 3307, tls: 'skip-verify' }],
    ['me@tcp([fd00::1]:3306)/', { ...plain, host: 'fd00::1', password: '', database: '' }],
    ['me:secret@/shop', { ...plain, host: '127.0.0.1' }],
    ['me:secret@tcp(db:3306)/a%20b', { ...plain, database: 'a b' }],
    ['me:secret@tcp(db:3306)/100%', { ...plain, database: '100%' }],
    ['mysql://me:secret@db/shop', 'it does not connect by tcp(host:port)'],
    ['me:pass/shop', 'it is not of the form user:password@tcp(host:port)/database'],
    ['db:3306', 'it is not of the form user:password@tcp(host:port)/database'],
    ['me:secret@unix(/run/mysqld.sock)/shop', 'it does not connect by tcp(host:port)'],
    ['me:secret@tcp(db:port)/shop', 'its address is not of the form host:port'],
    ['me:secret@tcp(db)/shop?tls=preferred', 'its tls is none of true, false and skip-verify'],
    ['me:secret@tcp(db)/shop?12=34', 'a setting of it is not supported'],
    ['me:secret@tcp(db)/shop?serverPubKey=x', 'the setting serverPubKey is not supported'],
  ])('%s', (text, expected) => expect(parseMysqlConnection(text)).toEqual(expected));
});
