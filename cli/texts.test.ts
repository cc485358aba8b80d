import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { renderTable } from './table.ts';
import { columnsOf, cutToColumns, visibleLine, visibleText } from './terminal-text.ts';
import { describeBytes, describeDuration, describeInstant } from './times.ts';

describe('texts of strangers', () => {
  test('keep what people write and show what they cannot see', () => {
    expect(visibleText('Grüße, 世界 👋\tand\nmore\r\n')).toBe('Grüße, 世界 👋\tand\nmore\n');
    expect(visibleText('a\u001b[2Kb\u202ec\u200bd\re\u{e0041}')).toBe('a\\u{1b}[2Kb\\u{202e}c\\u{200b}d\\u{d}e\\u{e0041}');
    expect(visibleLine('one\n  two')).toBe('one ⏎ two');
  });

  test('never reach the terminal as commands, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(visibleText(text)).not.toMatch(/[^\P{Cc}\t\n]|[\p{Bidi_Control}]/u);
        expect(visibleLine(text)).not.toMatch(/\p{Cc}/u);
      }),
    );
  });

  test('are cut to columns, not to characters', () => {
    expect(columnsOf('世界')).toBe(4);
    expect(columnsOf('\u001b[31mred\u001b[39m')).toBe(3);
    expect(cutToColumns('世界平和', 5)).toBe('世界…');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 2, max: 40 }), (text, columns) => columnsOf(cutToColumns(text, columns)) <= columns),
    );
  });
});

describe('tables', () => {
  const rows = [
    ['run_1', 'a very long text that does not fit'],
    ['run_22', 'short'],
  ];

  test('are whole where nobody looks, and cut where somebody does, but never in the first column', () => {
    expect(renderTable(['ID', 'DETAIL'], rows, { width: null })).toBe('ID      DETAIL\nrun_1   a very long text that does not fit\nrun_22  short');
    expect(renderTable(['ID', 'DETAIL'], rows, { width: 24 })).toBe('ID      DETAIL\nrun_1   a very long tex…\nrun_22  short');
    expect(renderTable(['ID'], [['a-very-long-identifier']], { width: 5 })).toContain('a-very-long-identifier');
  });

  test('paint without moving columns', () => {
    const painted = renderTable(['A', 'B'], [[{ text: 'x', paint: (text) => `<${text}>` }, 'y']], { width: null });
    expect(painted).toBe('A  B\n<x>  y');
  });
});

describe('times and sizes', () => {
  test.each([
    [0, '0.00 s'],
    [350, '0.35 s'],
    [1_000, '1.0 s'],
    [9_960, '10 s'],
    [59_600, '1 min'],
    [200_000, '3 min 20 s'],
    [7_500_000, '2 h 5 min'],
    [350_000_000, '4 d 1 h'],
  ])('%i ms is %s', (ms, text) => {
    expect(describeDuration(ms)).toBe(text);
  });

  test('instants are told from now', () => {
    const now = Date.parse('2026-01-01T12:00:00Z');
    expect(describeInstant('2026-01-01T11:59:59.500Z', now)).toBe('just now');
    expect(describeInstant('2026-01-01T11:57:00Z', now)).toBe('3 min ago');
    expect(describeInstant('2026-01-03T13:00:00Z', now)).toBe('in 2 d 1 h');
    expect(describeInstant('2026-01-06T13:00:00Z', now)).toBe('in 5 d');
    expect(describeInstant('2026-01-01T11:58:20Z', now)).toBe('1 min ago');
    expect(describeInstant('no instant', now)).toBe('no instant');
  });

  test('bytes have a unit', () => {
    expect([999, 1_500, 2_000_000, 3_100_000_000].map(describeBytes)).toEqual(['999 B', '1.5 kB', '2.0 MB', '3.1 GB']);
  });
});
