package proxy

// RequestBodyAtHand implements exchange.AtHand: the body is in memory, or so small that the codec has read it before the request began.
func (r *request) RequestBodyAtHand() bool {
	return r.hasBody || r.clientBody.r == nil || r.clientBody.size >= 0 && r.clientBody.size <= readAhead
}

// ResponseBodyAtHand implements exchange.AtHand: the body came with the head, or somebody has buffered it.
func (r *request) ResponseBodyAtHand() bool {
	return r.bufferedBody || !r.ctx.Response.IsBodyStream()
}
