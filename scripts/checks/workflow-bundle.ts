import { join, relative, sep } from 'node:path';
import { type BundleOptions, bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { failureConverterPath } from '#services/temporal/data-converter.ts';
import { conclude, projectRoot } from './project-files.ts';

type WebpackConfiguration = Parameters<NonNullable<BundleOptions['webpackConfigHook']>>[0];
type WebpackPlugin = Extract<NonNullable<WebpackConfiguration['plugins']>[number], { apply: unknown }>;

/** What a workflow may carry besides Temporal itself: the bundle is loaded again for every cached run, so each module costs memory many times over. */
const ownModules = /^(workflows|core\/engine)\/|^services\/temporal\/data-converter-failure\.ts$/;

/** Modules of the bundle, relative to the project's root, sorted. `options` are those that the worker bundles with. */
export async function listBundledModules(options: BundleOptions): Promise<string[]> {
  const modules = new Set<string>();
  const recorder: WebpackPlugin = {
    apply(compiler) {
      compiler.hooks.compilation.tap('list-modules', (compilation) => {
        compilation.hooks.finishModules.tap('list-modules', (finished) => {
          for (const module of finished) {
            const path = module.nameForCondition();
            if (path !== null) {
              modules.add(relative(projectRoot, path).split(sep).join('/'));
            }
          }
        });
      });
    },
  };
  await bundleWorkflowCode({
    logger: new DefaultLogger('WARN'),
    ...options,
    webpackConfigHook: (configuration) => {
      const hooked = options.webpackConfigHook?.(configuration) ?? configuration;
      return { ...hooked, plugins: [...(hooked.plugins ?? []), recorder] };
    },
  });
  return [...modules].sort();
}

/** What Temporal brings along by itself: the bundle of a workflow that does nothing. */
const listTemporalModules = (): Promise<string[]> => listBundledModules({ workflowsPath: join(projectRoot, 'scripts/checks/fixtures/empty-workflow.ts') });

/** Modules that are neither workflows, nor engine, nor Temporal's own. */
export async function findForeignModules(options: BundleOptions): Promise<{ faults: string[]; looked: string }> {
  const temporals = new Set(await listTemporalModules());
  const bundled = await listBundledModules(options);
  const foreign = bundled.filter((path) => !ownModules.test(path) && !path.startsWith('node_modules/@temporalio/') && !temporals.has(path));
  return { faults: foreign.map((path) => `the workflow bundle holds ${path}`), looked: `${bundled.length} modules` };
}

if (import.meta.main) {
  const { faults, looked } = await findForeignModules({ workflowsPath: join(projectRoot, 'workflows/index.ts'), failureConverterPath });
  conclude(faults, looked);
}
