package proxy

// RequestBodyAtHand implements exchange.AtHand: the body is in memory, or has come already.
func (r *request) RequestBodyAtHand() bool {
	return r.hasBody || r.clientBody.r == nil || r.conn.body.AllHere()
}

// ResponseBodyAtHand implements exchange.AtHand: the body came with the head, or somebody has buffered it.
func (r *request) ResponseBodyAtHand() bool {
	return r.bufferedBody || !r.ctx.Response.IsBodyStream()
}
