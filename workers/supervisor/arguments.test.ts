import { expect, test } from 'vitest';
import { readArguments } from './arguments.ts';

test('a port is taken in both spellings', () => {
  expect(readArguments([])).toEqual({ port: null, help: false });
  expect(readArguments(['--port', '0'])).toEqual({ port: 0, help: false });
  expect(readArguments(['--port=8080', '--help'])).toEqual({ port: 8080, help: true });
});

test.each([['--port'], ['--port', 'x'], ['--port', '65536'], ['--port', '-1'], ['--prot', '1'], ['3000']])(
  'wrong words are refused with the usage: %s %s',
  (...words) => {
    expect(() => readArguments(words)).toThrow(expect.objectContaining({ code: 'argument_invalid', fix: expect.stringContaining('Usage: npm start') }));
  },
);
