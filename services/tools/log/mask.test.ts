import { describe, expect, it } from 'vitest';
import { levelOfText, levelOfValue } from '#services/tools/log/level.ts';
import { maskedTokens } from '#services/tools/log/mask.ts';
import { readRecord, timeToMs } from '#services/tools/log/record.ts';

describe('maskedTokens', () => {
  it.each([
    ['took 12ms, 3.5 s and -7', 'took <num>ms, <num> s and -<num>'],
    ['from 10.0.0.1:5432 to fe80::1 and ::1', 'from <ip> to <ip> and <ip>'],
    ['run_0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b done', 'run_<uuid> done'],
    ['commit deadbeef12 at 0x7fff', 'commit <hex> at <hex>'],
    ['at 2026-05-20T10:00:00.123Z or 10:00:00', 'at <time> or <time>'],
    ['open /var/log/app/x.log: denied', 'open <path> denied'],
    ['GET https://example.com/a?b=1 failed', 'GET <url> failed'],
    ['version 1.2.3 of HTTP/1.1', 'version <num> of HTTP/<num>'],
    ['nothing varies here', 'nothing varies here'],
    ['', ''],
  ])('%s', (message, wanted) => {
    expect(maskedTokens(message).join(' ')).toBe(wanted);
  });

  it('bounds words and their number', () => {
    expect(maskedTokens('x'.repeat(10_000))[0]?.length).toBe(120);
    expect(maskedTokens('w '.repeat(10_000))).toHaveLength(101);
  });
});

describe('levels', () => {
  it.each([
    ['2026-05-20 10:00:00.123 UTC [42] FATAL:  terminating', 'fatal'],
    ['[error] 42#42: *1 open() failed', 'error'],
    ['E0520 10:00:00.000000 1 main.go:1] broke', 'error'],
    ['level=warn msg="slow"', 'warn'],
    ['10:00 INFO started', 'info'],
    ['LOG:  checkpoint complete', 'info'],
    ['DEBUG x', 'debug'],
    ['java.io.IOException: error while reading', 'error'],
    ['connection refused', 'warn'],
    ['status installed libgpg-error-dev', 'unknown'],
    ['the informant debugged', 'unknown'],
  ])('%s: %s', (line, wanted) => {
    expect(levelOfText(line)).toBe(wanted);
  });

  it('reads the members of structured records', () => {
    expect([10, 30, 40, 50, 60].map(levelOfValue)).toEqual(['debug', 'info', 'warn', 'error', 'fatal']);
    expect(['Warning', 'ERR', 'x', null].map(levelOfValue)).toEqual(['warn', 'error', null, null]);
  });
});

describe('readRecord', () => {
  it.each([
    ['{"level":50,"time":1700000000000,"msg":"query failed","err":{"message":"timeout"}}', 'error', 'query failed: timeout', 1_700_000_000_000],
    ['{"log":"2026-05-20T10:00:00Z WARN slow\\n","stream":"stdout","time":"2026-05-20T10:00:01Z"}', 'warn', 'WARN slow', '2026-05-20T10:00:01Z'],
    ['{"severity":"ERROR","message":"boom"}', 'error', 'boom', null],
    ['{"broken": ', 'unknown', '{"broken": ', null],
    ['May 20 10:00:00 host sshd[1]: Failed password', 'warn', 'host sshd[1]: Failed password', 'May 20 10:00:00'],
    ['2026-05-20 10:00:00,123 - app - INFO - up', 'info', 'app - INFO - up', '2026-05-20 10:00:00,123'],
  ])('%s', (line, level, message, time) => {
    expect(readRecord(line)).toEqual({ level, message, time });
  });

  it('reads times, and gives a syslog stamp the year that fits the file', () => {
    const modified = Date.parse('2026-01-02T00:00:00Z');
    expect(timeToMs('2026-05-20T10:00:00Z', modified)).toBe(Date.parse('2026-05-20T10:00:00Z'));
    expect(timeToMs('2026-05-20 10:00:00,5 UTC', modified)).toBe(Date.parse('2026-05-20T10:00:00.5Z'));
    expect(timeToMs(1_700_000_000, modified)).toBe(1_700_000_000_000);
    expect(new Date(timeToMs('Dec 31 10:00:00', modified) ?? 0).getFullYear()).toBe(2025);
    expect(timeToMs('nonsense', modified)).toBeNull();
  });
});
