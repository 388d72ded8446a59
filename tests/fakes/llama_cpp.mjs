// llama.cpp itself, through node-llama-cpp: what it makes of a GGUF file. Arguments: the folder of its installation, a
// file with {model, context, prompts: [[id, …], …], tokens, texts}, and the file for {answers, ids, spelled}.
import {readFileSync, writeFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const place = `${process.argv[2]}/node_modules/node-llama-cpp/dist/index.js`;
const {getLlama} = await import(pathToFileURL(place).href);
const asked = JSON.parse(readFileSync(process.argv[3], "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: 1});
const model = await llama.loadModel({modelPath: asked.model});
const context = await model.createContext({contextSize: asked.context, threads: 1});
const sequence = context.getSequence();
const answers = [];
for (const prompt of asked.prompts) {
    await sequence.clearHistory();
    const answer = [];
    for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
        answer.push(token);
        if (answer.length === asked.tokens) break;
    }
    answers.push(answer);
}
const ids = asked.texts.map((text) => [...model.tokenize(text, false)]);
const spelled = ids.map((tokens) => model.detokenize(tokens, true));
writeFileSync(process.argv[4], JSON.stringify({answers, ids, spelled}));
process.exit(0);
