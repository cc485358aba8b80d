import { describe, expect, it } from 'vitest';
import { findDeadReferences } from './document-references.ts';

const files = new Set(['README.md', 'core/engine/decide.ts', 'documentation/plans/language.md']);

describe('references of documents', () => {
  it('accept files and folders that are there, and the web', () => {
    const text = '[a](core/engine/decide.ts) [b](documentation/plans) [c](https://example.org/x.md) [d](#part) [e](README.md#part) `core/engine/decide.ts`';
    expect(findDeadReferences('README.md', text, files)).toEqual([]);
  });

  it('refuse links and mentions of files that are gone', () => {
    expect(findDeadReferences('README.md', 'see [this](core/gone.ts) and `core/engine/renamed.ts`', files)).toEqual([
      'README.md names core/gone.ts, which is not there',
      'README.md names core/engine/renamed.ts, which is not there',
    ]);
  });

  it('read links from the document’s own folder, mentions from the root', () => {
    expect(findDeadReferences('documentation/plans/language.md', '[a](../../README.md) [b](language.md) `core/engine/decide.ts`', files)).toEqual([]);
    expect(findDeadReferences('documentation/plans/language.md', '[a](README.md)', files)).toHaveLength(1);
  });
});
