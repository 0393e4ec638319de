"use strict";

// Notes in access when and what was asked, adds to it in response, and ships one line of JSON in log.
class LogShipper {
  constructor(config) {
    this.config = config;
  }

  async access(kong) {
    const body = await kong.request.getBody();
    await kong.ctx.shared.set("shipper", {
      started: await kong.nginx.reqStartTime(),
      form: body === undefined ? null : body,
      tls: (await kong.nginx.getTls1_versionStr()) || "none",
    });
  }

  async response(kong) {
    const seen = await kong.ctx.shared.get("shipper");
    const type = await kong.service.response.getHeader("content-type");
    const body = await kong.service.response.getRawBody();
    seen.answer = `${type} ${body.toString("utf8").length}`;
    await kong.ctx.shared.set("shipper", seen);
    await kong.response.setHeader(this.config.mark, "shipped");
  }

  async log(kong) {
    const seen = await kong.ctx.shared.get("shipper");
    const entry = JSON.parse(await kong.log.serialize());
    await kong.log.notice(
      JSON.stringify({ ...seen, status: entry.response.status, absent: await kong.ctx.shared.get("x") }),
    );
    await kong.log("plain notice");
  }
}

exports.Plugin = LogShipper;
exports.Schema = [{ mark: { type: "string", default: "x-log" } }];
exports.Version = "0.2.0";
exports.Priority = 5;
