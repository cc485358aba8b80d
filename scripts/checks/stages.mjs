/**
 * The stages of `npm test`, in order: the cheap ones first, the tests last. A stage is a program under Node 24 that exits non-zero when it finds a fault.
 *
 * @typedef {{ name: string, says: string, arguments: string[], timeoutMs: number }} Stage
 */

const bin = (/** @type {string} */ path) => `node_modules/${path}`;
const minutes = (/** @type {number} */ count) => count * 60_000;

/** @type {Stage[]} */
export const checkStages = [
  {
    name: 'format',
    says: 'every file is formatted (npm run format)',
    arguments: [bin('@biomejs/biome/bin/biome'), 'format', '--reporter=summary', '.'],
    timeoutMs: minutes(2),
  },
  {
    name: 'lint',
    says: 'no floating promise, open switch, any, or stray process.env',
    arguments: [bin('oxlint/bin/oxlint'), '--type-aware', '--deny-warnings', '--report-unused-disable-directives', '.'],
    timeoutMs: minutes(3),
  },
  { name: 'types', says: 'TypeScript agrees', arguments: [bin('typescript/bin/tsc'), '--noEmit', '-p', '.'], timeoutMs: minutes(3) },
  { name: 'imports', says: 'imports go one way, without cycles', arguments: ['scripts/checks/import-directions.ts'], timeoutMs: minutes(1) },
  { name: 'loading', says: 'Node itself loads every module', arguments: ['scripts/checks/module-loading.ts'], timeoutMs: minutes(1) },
  { name: 'bundle', says: 'the workflow bundle holds workflows and the engine only', arguments: ['scripts/checks/workflow-bundle.ts'], timeoutMs: minutes(2) },
  { name: 'dead-code', says: 'no unused file, export or dependency', arguments: [bin('knip/bin/knip.js'), '--no-progress'], timeoutMs: minutes(2) },
  { name: 'duplication', says: 'nothing is written twice', arguments: [bin('jscpd/run-jscpd.js'), '--config', '.jscpd.json'], timeoutMs: minutes(1) },
  { name: 'texts', says: 'no secret, machine path, registry host or unfinished mark', arguments: ['scripts/checks/texts.ts'], timeoutMs: minutes(1) },
  {
    name: 'documents',
    says: 'documents name files that are there, and kai-options.md is what the commands of kai are',
    arguments: ['scripts/checks/document-references.ts'],
    timeoutMs: minutes(1),
  },
  { name: 'api', says: 'no client of the last release breaks', arguments: ['scripts/checks/api-compatibility.ts'], timeoutMs: minutes(1) },
  { name: 'versions', says: 'dependencies are pinned exactly', arguments: ['scripts/checks/pinned-versions.ts'], timeoutMs: minutes(1) },
  { name: 'licences', says: 'production dependencies have permissive licences', arguments: ['scripts/checks/licences.ts'], timeoutMs: minutes(1) },
];

/** Vitest counts its own tests; see `test-totals.mjs`. */
export const testStage = { name: 'tests', says: 'unit, integration and replay tests', arguments: [bin('vitest/vitest.mjs'), 'run'], timeoutMs: minutes(20) };

/**
 * @typedef {{ checks: Stage[], tests: boolean, testFilters: string[] }} Selection
 * What the words after `npm test --` ask for. Throws an error that names the wrong word.
 *
 * @param {string[]} words `--only a,b`, `--except a,b`, or test files and name filters for vitest
 * @returns {Selection}
 */
export function selectStages(words) {
  /** @type {Selection} */
  const selection = { checks: checkStages, tests: true, testFilters: [] };
  const remaining = [...words];
  for (let word = remaining.shift(); word !== undefined; word = remaining.shift()) {
    if (word === '--only' || word === '--except') {
      const names = stageNames(word, remaining.shift());
      const wanted = (/** @type {string} */ name) => names.includes(name) === (word === '--only');
      selection.checks = selection.checks.filter((stage) => wanted(stage.name));
      selection.tests = selection.tests && wanted(testStage.name);
    } else {
      selection.testFilters.push(word);
    }
  }
  if (selection.testFilters.length > 0) {
    return { ...selection, checks: [], tests: true };
  }
  return selection;
}

/** @param {string} option @param {string | undefined} list */
function stageNames(option, list) {
  const known = [...checkStages, testStage].map((stage) => stage.name);
  const names = (list ?? '').split(',').filter((name) => name !== '');
  const unknown = names.filter((name) => !known.includes(name));
  if (names.length === 0 || unknown.length > 0) {
    throw new Error(`${option} needs stage names separated by commas; ${unknown.join(', ') || 'none'} given. Stages: ${known.join(', ')}.`);
  }
  return names;
}
