import { describe, expect, it } from 'vitest';
import { selectStages } from './stages.mjs';
import { addTotals, closingLine, totalsOfVitest } from './test-totals.mjs';

describe('totals', () => {
  it('count passed, failed, skipped and planned tests', () => {
    const report = { success: false, numPassedTests: 7, numFailedTests: 2, numPendingTests: 1, numTodoTests: 1, testResults: [] };
    expect(totalsOfVitest(report, 1)).toEqual({ passed: 7, failed: 2, skipped: 2 });
  });

  it('count a file that could not be loaded', () => {
    const testResults = [
      { status: 'failed', assertionResults: [] },
      { status: 'passed', assertionResults: [{}] },
    ];
    expect(totalsOfVitest({ success: false, numPassedTests: 1, numFailedTests: 0, testResults }, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });

  it.each([
    ['no report was written', null, 0],
    ['an error belonged to no test', { success: true, numPassedTests: 3, numFailedTests: 0 }, 1],
    ['a signal ended vitest', { success: true, numPassedTests: 3, numFailedTests: 0 }, null],
    ['the report says so itself', { success: false, numPassedTests: 0, numFailedTests: 0 }, 0],
  ])('fail when %s', (_name, report, exitCode) => {
    expect(totalsOfVitest(report, exitCode).failed).toBe(1);
  });

  it('add up to the closing line', () => {
    expect(closingLine(addTotals({ passed: 1, failed: 0, skipped: 2 }, { passed: 3, failed: 1, skipped: 0 }))).toBe('4 passed, 1 failed, 2 skipped');
  });
});

describe('the choice of stages', () => {
  const names = (words: string[]): string[] => {
    const selection = selectStages(words);
    return [...selection.checks.map((stage) => stage.name), ...(selection.tests ? ['tests'] : [])];
  };

  it('is everything, without words', () => {
    expect(names([])).toContain('format');
    expect(names([]).at(-1)).toBe('tests');
  });

  it('keeps or drops by name', () => {
    expect(names(['--only', 'lint,types'])).toEqual(['lint', 'types']);
    expect(names(['--except', 'tests'])).not.toContain('tests');
  });

  it('is the tests alone when files are named', () => {
    expect(names(['core/engine'])).toEqual(['tests']);
    expect(selectStages(['core/engine', '-t', 'closes']).testFilters).toEqual(['core/engine', '-t', 'closes']);
  });

  it.each([[['--only']], [['--only', 'lnt']], [['--except', '']]])('refuses %j', (words) => {
    expect(() => selectStages(words)).toThrow(/Stages: format, lint/);
  });
});
