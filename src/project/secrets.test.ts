import { expect, test } from 'vitest';
import { exposureWarnings, usesIn, variablesIn } from './secrets.ts';
import { parseSource } from './sources.ts';

test.each([
  ['$A', ['A']],
  ['x${A}y$B.', ['A', 'B']],
  ['${A:-$B}', ['A', 'B']],
  ['${A:?why not $A}', ['A', 'A']],
  ['$$A $${B}', []],
  ['$$$A', ['A']],
  ['5$', []],
])('%j uses %j', (text, names) => {
  expect(variablesIn(text)).toEqual(names);
});

const source = parseSource(
  '/p/compose.yaml',
  `# $COMMENTED
x-common: &common
  SHARED:
services:
  web:
    image: "web:\${VERSION}"
    build: {context: ., args: [BUILD_TOKEN, "OTHER=x"]}
    environment:
      <<: *common
      URL: postgres://app:\${PASSWORD}@db
      WORD: PLAIN_WORD
      PASSED:
    x-autoscale: {address: "\${REDIS_URL}"}
    secrets: [token]
  job:
    environment: [LISTED, "A=\${PASSWORD}"]
secrets:
  token: {environment: TOKEN}
  cert: {file: ./cert.pem}
configs:
  motd: {environment: MOTD}
`,
);

test('every use of a variable is found, with its path; comments and plain words are none', () => {
  const uses = usesIn(source).map(({ name, path }) => `${name} ${path.join('.')}`);
  expect(uses).toEqual([
    'SHARED x-common.SHARED',
    'VERSION services.web.image',
    'BUILD_TOKEN services.web.build.args.0',
    'PASSWORD services.web.environment.URL',
    'PASSED services.web.environment.PASSED',
    'REDIS_URL services.web.x-autoscale.address',
    'token services.web.secrets.0',
    'LISTED services.job.environment.0',
    'PASSWORD services.job.environment.1',
    'TOKEN secrets.token.environment',
    'MOTD configs.motd.environment',
  ]);
});

test('a secret in the environment or in a build is warned of, as a file it is not', () => {
  expect(exposureWarnings(['PASSWORD', 'PASSED', 'BUILD_TOKEN', 'TOKEN', 'REDIS_URL', 'token'], [source], '/p')).toEqual([
    'compose.yaml:7:25: the history of the image shows BUILD_TOKEN, because services.web.build.args holds it; as a file under /run/secrets a secret is not shown: secrets: {build_token: {environment: BUILD_TOKEN}}',
    'compose.yaml:8:5: docker inspect shows PASSED, PASSWORD, because services.web.environment holds them; as a file under /run/secrets a secret is not shown: secrets: {passed: {environment: PASSED}}',
    'compose.yaml:16:5: docker inspect shows PASSWORD, because services.job.environment holds it; as a file under /run/secrets a secret is not shown: secrets: {password: {environment: PASSWORD}}',
  ]);
  expect(exposureWarnings([], [source], '/p')).toEqual([]);
});
