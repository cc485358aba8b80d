import { TestWorkflowEnvironment } from '@temporalio/testing';
import { temporalVersion } from './temporal-binary.ts';

/**
 * Started by temporal-binary.ts with a folder as its one argument: lets the SDK put its Temporal server there. The SDK can only
 * download by starting the server, so it is started once, in memory, and stopped.
 */
const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('Name the folder to download to.');

try {
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', downloadDir: folder, version: `v${temporalVersion}` } },
  });
  await environment.teardown();
  process.exit(0);
} catch (error) {
  // One line: it becomes a part of the error that lists all the ways.
  console.error((error instanceof Error ? error.message : String(error)).replaceAll('\n', ' '));
  process.exit(1);
}
