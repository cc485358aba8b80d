/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Totals
 * @typedef {{ status: string, assertionResults?: unknown[] }} SuiteReport
 * @typedef {{ success?: boolean, numPassedTests?: number, numFailedTests?: number, numPendingTests?: number, numTodoTests?: number, testResults?: SuiteReport[] }} VitestReport
 */

/**
 * Totals of one vitest run, from its JSON report and its exit code.
 * A file that could not be loaded has no tests to count and an unhandled error belongs to none, yet both are failures: nothing that went wrong may add up to zero.
 *
 * @param {VitestReport | null} report null when vitest wrote none
 * @param {number | null} exitCode null when it was ended by a signal
 * @returns {Totals}
 */
export function totalsOfVitest(report, exitCode) {
  if (report === null) {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const unloadedFiles = (report.testResults ?? []).filter((suite) => suite.status === 'failed' && (suite.assertionResults ?? []).length === 0).length;
  const failed = (report.numFailedTests ?? 0) + unloadedFiles;
  const wentWrong = exitCode !== 0 || report.success === false;
  return {
    passed: report.numPassedTests ?? 0,
    failed: failed === 0 && wentWrong ? 1 : failed,
    skipped: (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0),
  };
}

/** @param {Totals} left @param {Totals} right @returns {Totals} */
export const addTotals = (left, right) => ({
  passed: left.passed + right.passed,
  failed: left.failed + right.failed,
  skipped: left.skipped + right.skipped,
});

/** The closing line that continuous integration reads. @param {Totals} totals */
export const closingLine = (totals) => `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`;
