import { expect, test } from 'vitest';
import { listenForServicePorts } from './temporal-service-ports.ts';

const configuration = `global:
    membership:
        maxJoinDuration: 30s
persistence:
    defaultStore: sqlite-default
services:
    frontend:
        rpc:
            grpcPort: 23451
            membershipPort: 0
            httpPort: 23452
    history:
        rpc:
            grpcPort: 41145
            httpPort: 0
    matching:
        rpc:
            grpcPort: 37239
dynamicConfigClient: null
otel: {}`;

test('the ports of the inner services are read, and what is no configuration is passed on', () => {
  const passed: string[] = [];
  const listening = listenForServicePorts((line) => passed.push(line));
  const lines = [
    'CLI 1.5.1',
    ...configuration.split('\n'),
    'panic: listen tcp 127.0.0.1:41145: bind: address already in use',
    '    a line of its trace',
    '{"level":"WARN"}',
  ];
  for (const line of lines) listening.onLine(line);
  expect(listening.ports()).toEqual([23451, 23452, 41145, 37239]);
  expect(passed).toEqual([lines[0], ...lines.slice(-3)]);
});

test('a server that tells nothing leaves none', () => {
  const passed: string[] = [];
  const listening = listenForServicePorts((line) => passed.push(line));
  listening.onLine('grpcPort: 4000');
  expect(listening.ports()).toEqual([]);
  expect(passed).toHaveLength(1);
});
