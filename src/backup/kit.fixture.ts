import type { RecoveryKit } from './kit.ts';

export const exampleKit: RecoveryKit = {
  project: 'shop',
  madeAt: '2026-11-24T06:00:00.000Z',
  host: 'srv1',
  versions: { composure: '0.1.0', restic: '0.18.1' },
  repository: {
    address: 's3:https://s3.example.com/bucket/shop',
    password: 'c4n4ry password: "with" #everything\nin it',
    environment: { AWS_ACCESS_KEY_ID: 'c4n4ry-id', AWS_SECRET_ACCESS_KEY: 'c4n4ry-key=' },
  },
  identities: ['AGE-SECRET-KEY-1C4N4RY'],
};
