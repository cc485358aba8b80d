import { writeFileSync } from 'node:fs';
import { publishedPlanSchemaText } from '#core/plan/published-schema.ts';

// Run after a change to schemas/plan.ts: node scripts/generate-plan-schema.ts
const file = new URL('../schemas/plan.schema.json', import.meta.url);
writeFileSync(file, publishedPlanSchemaText());
