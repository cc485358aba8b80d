import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { withLanguageServerLine } from '#core/plan/language-server.ts';
import type { Database } from '#services/database/connect.ts';
import type { PlanCompiler } from '#services/plans/compiler.ts';
import { checkText } from '#services/plans/called-plans.ts';
import { savePlan } from '#services/plans/save.ts';
import type { Owner } from './owner.ts';

const suffix = '.plan.yaml';

/** Saves the examples under their names where no plan has that name yet; what people made of one stays theirs. Returns the names that were saved. */
export async function saveExamples(
  dependencies: { database: Database; compile: PlanCompiler; log: Logger },
  owner: Owner,
  places: { folder: string; planSchemaUrl: string },
): Promise<string[]> {
  const files = (await readdir(places.folder)).filter((name) => name.endsWith(suffix)).toSorted();
  const saved: string[] = [];
  for (const file of files) {
    const source = await readFile(join(places.folder, file), 'utf8');
    const verdict = await checkText(dependencies.database, dependencies.compile, { workspaceId: owner.workspaceId, source, format: 'yaml' });
    if (!verdict.ok) {
      dependencies.log.error({ file, faults: verdict.faults }, 'an example is not a valid plan and was not saved');
      continue;
    }
    const { plan } = verdict;
    const isNew = await dependencies.database.inWorkspace(owner.workspaceId, async (transaction) => {
      const known = await transaction.sql`select 1 from kos.plans where name = ${plan.name}`;
      if (known.length > 0) return false;
      await savePlan(transaction, {
        workspaceId: owner.workspaceId,
        actor: owner.principalId,
        source: withLanguageServerLine(source, places.planSchemaUrl),
        plan,
      });
      return true;
    });
    if (isNew) saved.push(plan.name);
  }
  return saved;
}
