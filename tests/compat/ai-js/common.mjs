// Where the gateway is, and what the model is asked.
if (!process.env.GATEWAY_URL) throw new Error("GATEWAY_URL is not set: see ../README.md");

export const gatewayUrl = process.env.GATEWAY_URL;
/** A base URL of OpenAI's clients ends with the version. */
export const openaiUrl = `${gatewayUrl}/v1`;
/** Clients want a key; a devnet asks for none. */
export const apiKey = "none-needed";
export const model = "story";
export const messages = [{ role: "user", content: "Tell me about a frog." }];
