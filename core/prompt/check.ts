export interface PromptFault { message: string; suggestion: string | undefined }
export function checkPrompt(_template: string, _variables: string[]): PromptFault[] { return []; }
