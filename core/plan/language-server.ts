/** Editors with a YAML language server read this line and check the plan while it is written. */
const linePattern = /^#[ \t]*yaml-language-server:.*\r?\n?/m;

/** The text with the line that names its schema, first; an older such line is replaced, everything else stays byte for byte. */
export function withLanguageServerLine(text: string, schemaUrl: string): string {
  const line = `# yaml-language-server: $schema=${schemaUrl.replaceAll(/\s/g, '%20')}\n`;
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const body = text.slice(mark.length);
  return `${mark}${line}${body.replace(linePattern, '')}`;
}
