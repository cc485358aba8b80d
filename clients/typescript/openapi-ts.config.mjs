/** How the client is made of the document that `scripts/generate-typescript-client.ts` leaves beside this file. */
export default {
  input: './openapi.json',
  output: {
    path: './src',
    module: { extension: '.ts' },
    // Its types are exact; the code behind them is written for looser settings than this project's.
    header: ({ defaultValue }) => ['// @ts-nocheck', ...defaultValue],
  },
  plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'],
  logs: { level: 'warn' },
};
